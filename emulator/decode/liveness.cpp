// SPDX-License-Identifier: Apache-2.0
#include "emulator/decode/liveness.h"

#include <algorithm>

namespace warpwright::emulator {
namespace {

// Pairs (key, value) as lists of values by key.
class Lists {
public:
    Lists(std::size_t num_keys, const std::vector<std::pair<i32, i32>>& pairs)
        : starts_(num_keys + 1, 0), values_(pairs.size()) {
        for (const auto& [key, value] : pairs) ++starts_[static_cast<std::size_t>(key) + 1];
        for (std::size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
        std::vector<u32> next(starts_.begin(), starts_.end() - 1);
        for (const auto& [key, value] : pairs) values_[next[static_cast<std::size_t>(key)]++] = value;
    }
    std::span<const i32> operator[](i32 key) const {
        const auto k = static_cast<std::size_t>(key);
        return std::span(values_).subspan(starts_[k], starts_[k + 1] - starts_[k]);
    }

private:
    std::vector<u32> starts_;
    std::vector<i32> values_;
};

using Pairs = std::vector<std::pair<i32, i32>>;

// Basic blocks by the index of their first instruction, and one more at the end of the code.
std::vector<i32> block_starts(const BoundCode& code) {
    const auto size = static_cast<i32>(code.instructions.size());
    std::vector<bool> is_start(static_cast<std::size_t>(size) + 1, false);
    is_start[0] = true;
    for (const auto& [from, to] : code.branches) {
        is_start[static_cast<std::size_t>(from) + 1] = true;
        is_start[static_cast<std::size_t>(to)] = true;
    }
    for (i32 i = 0; i < size; ++i) {
        if (code.ends_path[static_cast<std::size_t>(i)]) is_start[static_cast<std::size_t>(i) + 1] = true;
    }
    std::vector<i32> starts;
    for (i32 i = 0; i < size; ++i) {
        if (is_start[static_cast<std::size_t>(i)]) starts.push_back(i);
    }
    starts.push_back(size);
    return starts;
}

Lists predecessors(const BoundCode& code, const std::vector<i32>& starts) {
    const auto block_of = [&](i32 instruction) {
        return static_cast<i32>(std::upper_bound(starts.begin(), starts.end(), instruction) -
                                starts.begin()) -
               1;
    };
    Pairs edges;
    for (const auto& [from, to] : code.branches) edges.emplace_back(block_of(to), block_of(from));
    const auto num_blocks = static_cast<i32>(starts.size()) - 1;
    for (i32 block = 0; block + 1 < num_blocks; ++block) {
        const i32 last = starts[static_cast<std::size_t>(block) + 1] - 1;
        if (!code.ends_path[static_cast<std::size_t>(last)]) edges.emplace_back(block + 1, block);
    }
    return {static_cast<std::size_t>(num_blocks), edges};
}

// What the blocks do to registers, as pairs of register and block.
struct Effects {
    Pairs exposed;  // read before the block writes it
    Pairs written;  // the whole register by an instruction without guard: what was there before is gone
};

Effects effects_of(const BoundCode& code, const std::vector<i32>& starts,
                   std::vector<LiveInterval>& intervals) {
    Effects effects;
    std::vector<i32> exposed_in(intervals.size(), -1), written_in(intervals.size(), -1);
    for (i32 block = 0; block + 1 < static_cast<i32>(starts.size()); ++block) {
        const auto end = static_cast<std::size_t>(starts[static_cast<std::size_t>(block) + 1]);
        for (auto i = static_cast<std::size_t>(starts[static_cast<std::size_t>(block)]); i < end; ++i) {
            const Instruction& instruction = code.instructions[i];
            const u32 first = code.first_operand[i];
            const u32 count = code.first_operand[i + 1] - first;
            for (u32 o = 0; o < count; ++o) {
                const SlotOperand reg = code.operands[first + o];
                if (reg < 0) continue;
                const auto r = static_cast<std::size_t>(reg);
                LiveInterval& interval = intervals[r];
                if (interval.last < 0) interval.first = static_cast<i32>(i);
                interval.last = static_cast<i32>(i);
                const bool is_read = (instruction.source_slots >> o & 1u) != 0;
                if (is_read && written_in[r] != block && exposed_in[r] != block) {
                    exposed_in[r] = block;
                    effects.exposed.emplace_back(reg, block);
                }
            }
            if (instruction.guard != kNoPredicate) continue;
            for (u32 o = 0; o < count; ++o) {
                const SlotOperand reg = code.operands[first + o];
                if (reg < 0 || (instruction.dest_slots >> o & 1u) == 0) continue;
                if ((instruction.source_slots >> o & 1u) != 0) continue;
                i32& written = written_in[static_cast<std::size_t>(reg)];
                if (written != block) effects.written.emplace_back(reg, block);
                written = block;
            }
        }
    }
    return effects;
}

}  // namespace

std::vector<LiveInterval> live_intervals(const BoundCode& code) {
    const std::size_t num_registers = code.register_width.size();
    std::vector<LiveInterval> intervals(num_registers);
    const std::vector<i32> starts = block_starts(code);
    const Lists before = predecessors(code, starts);
    const Effects effects = effects_of(code, starts, intervals);
    const Lists exposed(num_registers, effects.exposed);
    const Lists written(num_registers, effects.written);

    // From each block that needs a register's value back to those that write it. Most registers of a
    // compiler's PTX live in one block and are done already. The work is bounded for texts that are not a
    // compiler's: what is left then counts as live everywhere.
    u64 budget = 50'000'000;
    std::vector<i32> visited(starts.size(), -1), writes(starts.size(), -1);
    std::vector<i32> pending;
    for (i32 reg = 0; reg < static_cast<i32>(num_registers); ++reg) {
        LiveInterval& interval = intervals[static_cast<std::size_t>(reg)];
        if (exposed[reg].empty()) continue;
        for (const i32 block : written[reg]) writes[static_cast<std::size_t>(block)] = reg;
        pending.assign(exposed[reg].begin(), exposed[reg].end());
        while (!pending.empty()) {
            const i32 block = pending.back();
            pending.pop_back();
            interval.first = std::min(interval.first, starts[static_cast<std::size_t>(block)]);
            for (const i32 from : before[block]) {
                const auto f = static_cast<std::size_t>(from);
                if (visited[f] == reg) continue;
                visited[f] = reg;
                interval.last = std::max(interval.last, starts[f + 1] - 1);
                if (writes[f] != reg) pending.push_back(from);
                if (budget > 0) --budget;
            }
            if (budget == 0) {
                interval = {0, starts.back() - 1};
                break;
            }
        }
    }
    return intervals;
}

}  // namespace warpwright::emulator
