// SPDX-License-Identifier: Apache-2.0
// What only blocks of a cluster do: barrier.cluster, PTX ISA 9.7.13.3, and mapa, 9.7.9.23.
#include "emulator/machine/cluster.h"

#include <fmt/format.h>
#include "emulator/machine/control.h"
#include "emulator/machine/grid.h"
#include "emulator/machine/text.h"
#include "emulator/memory/windows.h"

namespace warpwright::emulator {

void Cluster::release_if_complete() {
    for (Block* block : blocks) {
        if (block == nullptr) continue;
        for (const Warp& warp : block->warps) {
            if ((warp.live() & ~warp.cluster_arrived) != 0) return;
        }
    }
    for (Block* block : blocks) {
        if (block == nullptr) continue;
        for (Warp& warp : block->warps) {
            if (warp.cluster_arrived != 0) warp.note_change();
            warp.cluster_released |= warp.cluster_arrived;
            warp.cluster_arrived = 0;
        }
    }
}

namespace {

constexpr int kAligned = 0;  // flag

Flow run_arrive(Warp& warp, const Instruction& instruction, u32 active) {
    if (instruction.flag[kAligned] && !warp.is_converged(instruction, warp.live(), active)) return Flow::wait;
    if (const u32 twice = active & (warp.cluster_arrived | warp.cluster_released); twice != 0) {
        return warp.report(FindingKind::bad_operand, instruction, twice, 0,
                           fmt::format("{} arrived before and did not wait since", lanes_text(twice)));
    }
    warp.cluster_arrived |= active;
    warp.note_change();
    warp.block().cluster->release_if_complete();
    return Flow::next;
}

Flow run_wait(Warp& warp, const Instruction& instruction, u32 active) {
    if (instruction.flag[kAligned] && !warp.is_converged(instruction, warp.live(), active)) return Flow::wait;
    if (const u32 absent = active & ~(warp.cluster_arrived | warp.cluster_released); absent != 0) {
        return warp.report(FindingKind::bad_operand, instruction, absent, 0,
                           fmt::format("{} did not arrive before", lanes_text(absent)));
    }
    if ((active & ~warp.cluster_released) != 0) return Flow::wait;
    warp.cluster_released &= ~active;
    return Flow::next;
}

Status bind_cluster_barrier(Binding& b) {
    if (!b.take("cluster")) return not_mine();
    const std::string_view kind = b.take_one_of({"arrive", "wait"});
    if (kind.empty()) b.error("expected .arrive or .wait");
    b.take_one_of({"release", "relaxed", "acquire"});
    b.instruction().flag[kAligned] = b.take("aligned");
    b.handler(kind == "arrive" ? run_arrive : run_wait);
    return {};
}

// slot[0]: the result, slot[1]: a shared address, slot[2]: a rank. A block's own addresses have no rank.
Flow run_mapa(Warp& warp, const Instruction& instruction, u32 active) {
    u32* to = warp.lanes<u32>(instruction.slot[0]);
    const u32* from = warp.lanes<u32>(instruction.slot[1]);
    const u32* ranks = warp.lanes<u32>(instruction.slot[2]);
    const auto num_blocks = static_cast<u32>(warp.block().cluster->blocks.size());
    u32 wrong = 0;
    for (int l = 0; l < kLanes; ++l) {
        if ((active >> l & 1u) == 0) continue;
        if (ranks[l] >= num_blocks) wrong |= 1u << l;
        to[l] = (from[l] & (kSharedRankUnit - 1)) + (ranks[l] + 1) * kSharedRankUnit;
    }
    if (wrong == 0) return Flow::next;
    return warp.report(FindingKind::bad_operand, instruction, wrong, 0,
                       fmt::format("a rank that the cluster of {} blocks has not", num_blocks));
}

Status bind_mapa(Binding& b) {
    if (!b.take("shared::cluster") || !b.take("u32"))
        return caller_error("not covered yet: mapa that is not .shared::cluster.u32");
    b.dest(0, Type::u32);
    b.source(1, Type::u32);
    b.source(2, Type::u32);
    b.handler(run_mapa);
    return {};
}

constexpr Opcode kOpcodes[] = {
    {"barrier", bind_cluster_barrier, "9.7.13.3",
     ".cluster{.arrive{.release .relaxed} .wait{.acquire}}{.aligned}"},
    {"mapa", bind_mapa, "9.7.9.23", ".shared::cluster.u32"},
};

}  // namespace

std::span<const Opcode> cluster_opcodes() {
    return kOpcodes;
}

}  // namespace warpwright::emulator
