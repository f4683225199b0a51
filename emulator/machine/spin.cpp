// SPDX-License-Identifier: Apache-2.0
// A warp's state as bytes, to tell that it is the same again.
#include <cstring>

#include "emulator/machine/grid.h"

namespace warpwright::emulator {

// Everything but the registers: what tells most states apart at once.
void Warp::save_position(std::vector<u32>& words, bool with_counts) const {
    words.clear();
    words.insert(words.end(), {static_cast<u32>(running_), is_forced_, exited_, carry,
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

void Warp::save(WarpState& state, bool with_counts) const {
    save_position(state.position, with_counts);
    const Program& program = *block_->grid().program;
    const std::byte* registers = registers_ + static_cast<std::size_t>(program.num_constants) * 128;
    const auto registers_bytes = static_cast<std::size_t>(program.num_slots - program.num_constants) * 128;
    const std::size_t local_bytes = static_cast<std::size_t>(local.bytes) * kLanes;
    state.bytes.resize(registers_bytes + local_bytes);
    if (registers_bytes > 0) std::memcpy(state.bytes.data(), registers, registers_bytes);
    if (local_bytes > 0) std::memcpy(state.bytes.data() + registers_bytes, local.data.get(), local_bytes);
}

bool Warp::is_at(const WarpState& state, bool with_counts) {
    save_position(scratch_, with_counts);
    if (scratch_ != state.position) return false;
    const Program& program = *block_->grid().program;
    const std::byte* registers = registers_ + static_cast<std::size_t>(program.num_constants) * 128;
    const auto registers_bytes = static_cast<std::size_t>(program.num_slots - program.num_constants) * 128;
    const std::size_t local_bytes = static_cast<std::size_t>(local.bytes) * kLanes;
    return (registers_bytes == 0 || std::memcmp(state.bytes.data(), registers, registers_bytes) == 0) &&
           (local_bytes == 0 ||
            std::memcmp(state.bytes.data() + registers_bytes, local.data.get(), local_bytes) == 0);
}

}  // namespace warpwright::emulator
