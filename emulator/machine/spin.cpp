// SPDX-License-Identifier: Apache-2.0
// A warp's state as bytes, to tell that it is the same again.
#include <cstring>

#include "emulator/machine/grid.h"

namespace warpwright::emulator {

// Everything but the registers: what tells nearly all states apart.
void Warp::save_position(std::vector<u32>& words, bool with_counts) const {
    words.clear();
    words.insert(words.end(), {static_cast<u32>(running_), is_forced_, exited_, carry, num_clock_reads_,
                               static_cast<u32>(async.pending.size())});
    if (with_counts) words.insert(words.end(), {num_spins_, num_loops_});
    words.insert(words.end(), std::begin(async.open_group), std::end(async.open_group));
    for (const LaneGroup& group : groups_) {
        words.insert(words.end(),
                     {static_cast<u32>(group.pc), group.lanes, static_cast<u32>(group.waits),
                      static_cast<u32>(group.barrier), group.is_released, group.result, group.needed});
    }
    words.insert(words.end(), predicates_, predicates_ + block_->grid().program->num_predicates);
}

// What registers and local memory hold, in pieces that lie together. Constants do not change.
std::array<std::span<const std::byte>, 2> Warp::contents() const {
    const Program& program = *block_->grid().program;
    const auto slot_bytes = sizeof(u32) * kLanes;
    const auto constants = static_cast<std::size_t>(program.num_constants);
    return {std::span(registers_ + constants * slot_bytes,
                      (static_cast<std::size_t>(program.num_slots) - constants) * slot_bytes),
            std::span(local.data.get(), std::size_t{local.bytes} * kLanes)};
}

void Warp::save(WarpState& state, bool with_counts) const {
    state.pc = groups_[running_].pc;
    save_position(state.position, with_counts);
    state.bytes.clear();
    for (const auto piece : contents()) state.bytes.insert(state.bytes.end(), piece.begin(), piece.end());
}

bool Warp::is_at(const WarpState& state, bool with_counts) {
    if (groups_[running_].pc != state.pc) return false;
    save_position(scratch_, with_counts);
    if (scratch_ != state.position) return false;
    std::size_t at = 0;
    for (const auto piece : contents()) {
        if (!piece.empty() && std::memcmp(state.bytes.data() + at, piece.data(), piece.size()) != 0)
            return false;
        at += piece.size();
    }
    return true;
}

}  // namespace warpwright::emulator
