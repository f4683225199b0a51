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
        fmt::format("wait at barrier {}, where {} of {} threads have arrived", id, barrier.arrived,
                    barrier.expected > 0 ? barrier.expected : static_cast<u32>(std::popcount(live)) * kLanes);
    if (const u32 partial = barrier.partial[warp.index()]; partial != 0)
        text += fmt::format(", for {} of its own warp", lanes_text(warp.live() & ~partial));
    const u32 missing = live & ~barrier.warps;
    text += missing == 0 ? ": no other warp is left" : fmt::format(": {} not", warps_text(missing));
    return text;
}

// Where the group is and what it does.
std::string group_text(const Program& program, const Block& block, const Warp& warp, const LaneGroup& group) {
    const std::string at = fmt::format("at {}: ", place_text(program, group.pc));
    switch (group.waits) {
        case WaitReason::barrier: return at + barrier_text(block, warp, group.barrier);
        case WaitReason::convergence:
        case WaitReason::warp_barrier:
            return at + "wait for " + lanes_text(group.needed & warp.live() & ~group.lanes);
        case WaitReason::memory: return at + "wait for memory to change";
        case WaitReason::none: break;
    }
    const Turn& turn = warp.turn;
    if (!turn.is_asleep || turn.period == 0) return at + "run";
    if (turn.first_pc == turn.last_pc) return at + "go round, and nothing changes";
    return fmt::format("go round between {} and {}, and nothing changes", place_text(program, turn.first_pc),
                       place_text(program, turn.last_pc));
}

// Groups of a block that do the same, and in which warps.
struct Line {
    u32 warps = 0;
    u32 lanes = 0;
    std::string text;
};

std::vector<Line> lines_of(const Program& program, Block& block) {
    std::vector<Line> lines;
    for (Warp& warp : block.warps) {
        std::vector<LaneGroup> groups = warp.groups();
        std::sort(groups.begin(), groups.end(), [](const LaneGroup& a, const LaneGroup& b) {
            return std::pair(a.pc, a.lanes) < std::pair(b.pc, b.lanes);
        });
        for (const LaneGroup& group : groups) {
            std::string text = group_text(program, block, warp, group);
            const auto same = std::find_if(lines.begin(), lines.end(), [&](const Line& line) {
                return line.lanes == group.lanes && line.text == text;
            });
            if (same == lines.end()) {
                lines.push_back({1u << warp.index(), group.lanes, std::move(text)});
            } else {
                same->warps |= 1u << warp.index();
            }
        }
    }
    return lines;
}

// Where the first warp is that has not finished.
void locate_first(Finding& finding, const Program& program, std::span<Block* const> blocks) {
    for (Block* const block : blocks) {
        for (Warp& warp : block->warps) {
            if (warp.groups().empty()) continue;
            const LaneGroup& group = warp.groups().front();
            const auto pc = static_cast<std::size_t>(group.pc);
            if (pc < program.code.size()) locate(finding, program, program.code[pc]);
            std::copy(std::begin(block->index), std::end(block->index), finding.block);
            finding.warp = warp.index();
            finding.lanes = group.lanes;
            finding.lane = std::countr_zero(group.lanes);
            return;
        }
    }
}

}  // namespace

Finding describe_hang(Grid& grid, std::span<Block* const> blocks, std::string_view reason) {
    const Program& program = *grid.program;
    Finding finding;
    finding.kind = FindingKind::deadlock;
    finding.kernel = program.name;
    finding.text = reason;
    locate_first(finding, program, blocks);
    int num_lines = 0;
    for (Block* const block : blocks) {
        for (const Line& line : lines_of(program, *block)) {
            if (++num_lines > kMaxLines) continue;
            finding.text +=
                fmt::format("\n  block {},{},{} {} {} {}", block->index[0], block->index[1], block->index[2],
                            warps_text(line.warps), lanes_text(line.lanes), line.text);
        }
    }
    if (num_lines > kMaxLines) finding.text += fmt::format("\n  and {} more", num_lines - kMaxLines);
    return finding;
}

}  // namespace warpwright::emulator
