// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/hang.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>
#include "emulator/machine/text.h"

namespace warpwright::emulator {
namespace {

constexpr int kMaxLines = 64;

u32 live_warps(const Block& block) {
    u32 mask = 0;
    for (const Warp& warp : block.warps) mask |= static_cast<u32>(warp.live() != 0) << warp.index();
    return mask;
}

std::string warps_text(u32 warps) {
    if (warps == 0) return "no warp";
    return (std::popcount(warps) == 1 ? "warp " : "warps ") + ranges_text(warps);
}

std::string barrier_text(const Block& block, const Warp& warp, int id) {
    const NamedBarrier& barrier = block.barriers[id];
    const u32 live = live_warps(block);
    std::string text =
        fmt::format("waits at barrier {}, where {} of {} threads have arrived", id, barrier.arrived,
                    barrier.expected > 0 ? barrier.expected : static_cast<u32>(std::popcount(live)) * kLanes);
    if (const u32 partial = barrier.partial[warp.index()]; partial != 0)
        text += fmt::format(", for {} of its own warp", lanes_text(warp.live() & ~partial));
    const u32 missing = live & ~barrier.warps;
    text += missing == 0 ? ": no other warp is left" : fmt::format(": {} not", warps_text(missing));
    return text;
}

// What the group does, after "lanes ... at line ...".
std::string group_text(const Program& program, const Block& block, const Warp& warp, const LaneGroup& group) {
    switch (group.waits) {
        case WaitReason::barrier: return barrier_text(block, warp, group.barrier);
        case WaitReason::convergence:
        case WaitReason::warp_barrier:
            return "waits for " + lanes_text(group.needed & warp.live() & ~group.lanes);
        case WaitReason::memory: return "waits for memory to change";
        case WaitReason::none: break;
    }
    if (!warp.turn.is_asleep || warp.turn.period == 0) return "runs";
    return fmt::format("goes round between {} and {}, and nothing changes",
                       place_text(program, warp.turn.first_pc), place_text(program, warp.turn.last_pc));
}

}  // namespace

Finding describe_hang(Grid& grid, std::span<Block* const> blocks, std::string_view reason) {
    const Program& program = *grid.program;
    Finding finding;
    finding.kind = FindingKind::deadlock;
    finding.kernel = program.name;
    finding.text = reason;
    int num_lines = 0;
    for (Block* const block : blocks) {
        for (Warp& warp : block->warps) {
            std::vector<LaneGroup> groups = warp.groups();
            std::sort(groups.begin(), groups.end(), [](const LaneGroup& a, const LaneGroup& b) {
                return std::pair(a.pc, a.lanes) < std::pair(b.pc, b.lanes);
            });
            for (const LaneGroup& group : groups) {
                const auto pc = static_cast<std::size_t>(group.pc);
                if (num_lines++ == 0 && pc < program.code.size()) {
                    locate(finding, program, program.code[pc]);
                    std::copy(std::begin(block->index), std::end(block->index), finding.block);
                    finding.warp = warp.index();
                    finding.lanes = group.lanes;
                    finding.lane = std::countr_zero(group.lanes);
                }
                if (num_lines > kMaxLines) continue;
                finding.text +=
                    fmt::format("\n  block {},{},{} warp {} {} at {}: {}", block->index[0], block->index[1],
                                block->index[2], warp.index(), lanes_text(group.lanes),
                                place_text(program, group.pc), group_text(program, *block, warp, group));
            }
        }
    }
    if (num_lines > kMaxLines) finding.text += fmt::format("\n  and {} more", num_lines - kMaxLines);
    return finding;
}

}  // namespace warpwright::emulator
