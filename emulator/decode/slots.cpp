// SPDX-License-Identifier: Apache-2.0
#include "emulator/decode/slots.h"

#include <algorithm>
#include <bit>
#include <map>
#include <numeric>
#include <queue>
#include <utility>

#include <fmt/format.h>

#include "emulator/decode/liveness.h"

namespace warpwright::emulator {
namespace {

// Of a warp, constants included: 2 MiB.
constexpr int kMaxFileSlots = 16384;

// Registers of one width in use, as bits.
class PlaceMap {
public:
    int take() {
        for (std::size_t i = 0;; ++i) {
            if (i == used_.size()) used_.push_back(0);
            if (~used_[i] == 0) continue;
            const int bit = std::countr_zero(~used_[i]);
            used_[i] |= u64{1} << bit;
            const int place = static_cast<int>(i) * 64 + bit;
            end_ = std::max(end_, place + 1);
            return place;
        }
    }
    void give_back(int place) { used_[static_cast<std::size_t>(place / 64)] &= ~(u64{1} << (place % 64)); }
    int end() const { return end_; }  // behind the highest that was ever taken

private:
    std::vector<u64> used_;
    int end_ = 0;
};

struct Assignment {
    std::vector<int> slots;  // of each register, from 0
    int num_slots = 0;
};

// Linear scan. A register's slots are free after the instruction that reads it last, not for it: handlers may
// write one destination before they read the last source. Only registers of the same width share slots: lanes
// of different widths lie at different words, so that lanes which stand elsewhere would lose what they keep.
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
    std::map<u8, PlaceMap> places;       // by width
    using Ending = std::pair<i32, i32>;  // last instruction, register
    std::priority_queue<Ending, std::vector<Ending>, std::greater<>> live;
    for (const i32 reg : order) {
        const auto r = static_cast<std::size_t>(reg);
        while (!live.empty() && live.top().first < intervals[r].first) {
            const auto ended = static_cast<std::size_t>(live.top().second);
            places[widths[ended]].give_back(assignment.slots[ended]);
            live.pop();
        }
        assignment.slots[r] = places[widths[r]].take();
        live.emplace(intervals[r].last, reg);
        if (places[widths[r]].end() > kMaxFileSlots) break;
    }
    std::map<u8, int> starts;
    for (const auto& [width, map] : places) {
        starts[width] = assignment.num_slots;
        assignment.num_slots += map.end() * width;
    }
    for (const i32 reg : order) {
        const auto r = static_cast<std::size_t>(reg);
        assignment.slots[r] = starts[widths[r]] + assignment.slots[r] * widths[r];
    }
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
