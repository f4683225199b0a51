// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <cstring>
#include <new>

#include "emulator/machine/grid.h"

namespace warpwright::emulator {
namespace {

constexpr std::size_t kSlotBytes = 4 * kLanes;

// Of registers that nothing was written to: NaN in every floating-point type, and no address.
constexpr int kPoison = 0xff;

u32 align_up(u32 value, u32 alignment) {
    return alignment < 2 ? value : (value + alignment - 1) / alignment * alignment;
}

}  // namespace

void Block::Free::operator()(std::byte* memory) const {
    std::free(memory);
}

void Block::open(Grid& grid, u32 x, u32 y, u32 z, std::shared_ptr<Cluster> of) {
    const Program& program = *grid.program;
    grid_ = &grid;
    index[0] = x, index[1] = y, index[2] = z;
    cluster = of != nullptr ? std::move(of) : std::make_shared<Cluster>();
    cluster_rank = static_cast<u32>(cluster->blocks.size());
    cluster->blocks.push_back(this);

    const u32 num_threads = grid.num_threads();
    const std::size_t num_warps = (num_threads + kLanes - 1) / kLanes;
    const std::size_t slots_bytes = static_cast<std::size_t>(program.num_slots) * kSlotBytes;
    const std::size_t constants_bytes = static_cast<std::size_t>(program.num_constants) * kSlotBytes;
    if (const std::size_t bytes = std::max(num_warps * slots_bytes, kSlotBytes); bytes > registers_bytes_) {
        registers_.reset(static_cast<std::byte*>(std::aligned_alloc(64, bytes)));
        if (registers_ == nullptr) throw std::bad_alloc();
        registers_bytes_ = bytes;
    }
    predicates_.assign(std::max<std::size_t>(num_warps * static_cast<std::size_t>(program.num_predicates), 1),
                       0);
    barriers.fill({});
    // Without a dynamic part there is nothing behind the static one: an access there is out of bounds.
    const u32 dynamic_bytes = grid.config.shared_bytes;
    shared.reset(dynamic_bytes == 0
                     ? program.static_shared_bytes
                     : align_up(program.static_shared_bytes, program.shared_alignment) + dynamic_bytes);

    warps.resize(num_warps);
    live_warps = static_cast<int>(num_warps);
    for (std::size_t w = 0; w < num_warps; ++w) {
        Warp& warp = warps[w];
        warp.registers_ = registers_.get() + w * slots_bytes;
        warp.predicates_ = predicates_.data() + w * static_cast<std::size_t>(program.num_predicates);
        if (program.num_predicates > kTruePredicate) warp.predicates_[kTruePredicate] = kAllLanes;
        warp.block_ = this;
        warp.index_ = static_cast<int>(w);
        warp.existing_ = (w + 1) * kLanes <= num_threads ? kAllLanes : (1u << num_threads % kLanes) - 1;
        warp.exited_ = 0;
        warp.level_ = grid.options.level;
        warp.unordered =
            grid.config.programmatic && grid.options.level != CheckLevel::off ? warp.existing_ : 0;
        warp.carry = 0;
        warp.cluster_arrived = warp.cluster_released = 0;
        warp.turn = {};
        warp.num_instructions = 0;
        warp.groups_.assign(1, LaneGroup{0, warp.existing_});
        warp.running_ = 0;
        warp.is_forced_ = false;
        warp.num_changes_ = warp.changes_seen_ = 0;
        warp.num_spins_ = warp.num_loops_ = 0;
        warp.segment_start_ = 0;
        warp.async.clear();
        warp.translations = {};
        if (constants_bytes > 0) std::memcpy(warp.registers_, program.constants.data(), constants_bytes);
        std::memset(warp.registers_ + constants_bytes, kPoison, slots_bytes - constants_bytes);
        if (program.local_bytes != warp.local.bytes) {
            warp.local.bytes = program.local_bytes;
            warp.local.data = std::make_unique_for_overwrite<std::byte[]>(
                static_cast<std::size_t>(program.local_bytes) * kLanes);
        }
        if (program.local_bytes > 0)
            std::memset(warp.local.data.get(), kPoison,
                        static_cast<std::size_t>(program.local_bytes) * kLanes);
    }
}

void Block::close() {
    cluster->blocks[cluster_rank] = nullptr;
    cluster.reset();
}

std::size_t Block::memory_bytes() const {
    std::size_t bytes = registers_bytes_ + 2 * std::size_t{shared.bytes};
    for (const Warp& warp : warps) bytes += static_cast<std::size_t>(warp.local.bytes) * kLanes;
    return bytes;
}

}  // namespace warpwright::emulator
