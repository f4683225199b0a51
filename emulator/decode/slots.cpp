// SPDX-License-Identifier: Apache-2.0
#include "emulator/decode/slots.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <queue>
#include <utility>

#include <fmt/format.h>

#include "emulator/decode/liveness.h"

namespace warpwright::emulator {
namespace {

// Of a warp, constants included: 2 MiB.
constexpr int kMaxFileSlots = 16384;

// Slots in use, as bits. Wide values take slots that are a multiple of their width, so that what they leave
// behind fits the next of their kind.
class SlotMap {
public:
    int take(int width) {
        for (std::size_t i = 0;; ++i) {
            if (i == used_.size()) used_.push_back(0);
            u64 places = ~used_[i];
            if (width >= 2) places &= places >> 1 & 0x5555'5555'5555'5555u;
            if (width == 4) places &= places >> 2 & 0x1111'1111'1111'1111u;
            if (places == 0) continue;
            const int bit = std::countr_zero(places);
            used_[i] |= mask(width) << bit;
            const int slot = static_cast<int>(i) * 64 + bit;
            end_ = std::max(end_, slot + width);
            return slot;
        }
    }
    void give_back(int slot, int width) {
        used_[static_cast<std::size_t>(slot / 64)] &= ~(mask(width) << (slot % 64));
    }
    int end() const { return end_; }  // behind the highest that was ever taken

private:
    static u64 mask(int width) { return (u64{1} << width) - 1; }
    std::vector<u64> used_;
    int end_ = 0;
};

struct Assignment {
    std::vector<int> slots;  // of each register, from 0
    int num_slots = 0;
};

// Linear scan. A register's slots are free after the instruction that reads it last, not for it: handlers may
// write one destination before they read the last source.
Assignment share_slots(const std::vector<u8>& widths, const std::vector<LiveInterval>& intervals) {
    std::vector<i32> order;
    for (i32 reg = 0; reg < static_cast<i32>(widths.size()); ++reg) {
        const auto r = static_cast<std::size_t>(reg);
        if (widths[r] > 0 && intervals[r].last >= 0) order.push_back(reg);
    }
    std::sort(order.begin(), order.end(), [&](i32 a, i32 b) {
        const LiveInterval& x = intervals[static_cast<std::size_t>(a)];
        const LiveInterval& y = intervals[static_cast<std::size_t>(b)];
        return std::pair(x.first, a) < std::pair(y.first, b);
    });
    Assignment assignment;
    assignment.slots.assign(widths.size(), 0);
    SlotMap map;
    using Ending = std::pair<i32, i32>;  // last instruction, register
    std::priority_queue<Ending, std::vector<Ending>, std::greater<>> live;
    for (const i32 reg : order) {
        const auto r = static_cast<std::size_t>(reg);
        while (!live.empty() && live.top().first < intervals[r].first) {
            const auto ended = static_cast<std::size_t>(live.top().second);
            map.give_back(assignment.slots[ended], widths[ended]);
            live.pop();
        }
        assignment.slots[r] = map.take(widths[r]);
        live.emplace(intervals[r].last, reg);
        if (map.end() > kMaxFileSlots) break;
    }
    assignment.num_slots = map.end();
    return assignment;
}

}  // namespace

Status assign_slots(BoundCode& code, Program& program) {
    const Assignment assignment = share_slots(code.register_width, live_intervals(code));
    program.num_constants = code.constants.num_slots();
    program.num_slots = program.num_constants + assignment.num_slots;
    if (program.num_slots > kMaxFileSlots) {
        return caller_error(fmt::format(
            "not covered yet: more than {} words of registers and constants at once", kMaxFileSlots));
    }
    for (const u8 width : code.register_width) program.num_virtual_registers += width > 0 ? 1 : 0;
    for (std::size_t i = 0; i < code.instructions.size(); ++i) {
        const u32 first = code.first_operand[i];
        for (u32 o = first; o < code.first_operand[i + 1]; ++o) {
            const SlotOperand operand = code.operands[o];
            const int slot =
                operand < 0 ? ~operand
                            : program.num_constants + assignment.slots[static_cast<std::size_t>(operand)];
            code.instructions[i].slot[o - first] = static_cast<u16>(slot);
        }
    }
    program.constants = code.constants.lanes();
    program.code = std::move(code.instructions);
    return {};
}

}  // namespace warpwright::emulator
