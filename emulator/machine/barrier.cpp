// SPDX-License-Identifier: Apache-2.0
// Barriers of a block and of a warp: PTX ISA 9.7.13.1 and 9.7.13.2.
#include <algorithm>
#include <bit>

#include <fmt/format.h>
#include "emulator/machine/control.h"
#include "emulator/machine/grid.h"
#include "emulator/machine/text.h"

namespace warpwright::emulator {

// ---- barriers of a block

void Block::arrive(int id, Warp& warp, u32 lanes, u32 holding) {
    NamedBarrier& barrier = barriers[id];
    barrier.partial[warp.index()] |= lanes;
    barrier.holding[warp.index()] |= lanes & holding;
    warp.note_change();
    if ((warp.live() & ~barrier.partial[warp.index()]) == 0) warp_arrived(id, warp);
}

void Block::warp_arrived(int id, Warp& warp) {
    NamedBarrier& barrier = barriers[id];
    u32& partial = barrier.partial[warp.index()];
    u32& holding = barrier.holding[warp.index()];
    barrier.popc += static_cast<u32>(std::popcount(holding));
    barrier.all = barrier.all && holding == partial;
    barrier.arrived += kLanes;
    barrier.warps |= 1u << warp.index();
    partial = holding = 0;
    // bar.arrive waits for its own warp only.
    for (LaneGroup& group : warp.groups()) {
        if (group.barrier == id && grid().program->code[group.pc].flag[kBarrierArrives]) {
            group.is_released = true;
            group.waits = WaitReason::none;
        }
    }
    release_if_complete(id);
}

void Block::release_if_complete(int id) {
    NamedBarrier& barrier = barriers[id];
    const u32 expected = barrier.expected > 0 ? barrier.expected : static_cast<u32>(live_warps) * kLanes;
    if (barrier.arrived == 0 || barrier.arrived < expected) return;
    const u32 result = barrier.use == BarrierUse::popc  ? barrier.popc
                       : barrier.use == BarrierUse::all ? barrier.all
                                                        : barrier.popc > 0;
    bool is_open = false;
    for (Warp& warp : warps) {
        is_open = is_open || barrier.partial[warp.index()] != 0;
        if ((barrier.warps >> warp.index() & 1u) == 0) continue;
        for (LaneGroup& group : warp.groups()) {
            if (group.barrier != id || (group.lanes & barrier.partial[warp.index()]) != 0) continue;
            group.is_released = true;
            group.result = result;
            group.waits = WaitReason::none;
        }
        warp.turn.is_blocked = false;
    }
    barrier.is_open = is_open;  // to lanes of warps that were not part of it
    barrier.arrived = barrier.warps = barrier.popc = 0;
    barrier.all = true;
}

void Block::lanes_exited(Warp& warp) {
    const bool is_gone = warp.live() == 0;
    if (is_gone) --live_warps;
    warp.cluster_arrived &= warp.live();
    if (cluster->blocks.size() > 1) cluster->release_if_complete();
    for (int id = 0; id < kNumBarriers; ++id) {
        NamedBarrier& barrier = barriers[id];
        if (!barrier.is_open) continue;
        const u32 partial = barrier.partial[warp.index()];
        if (partial != 0 && (warp.live() & ~partial) == 0) {
            warp_arrived(id, warp);
        } else if (is_gone) {
            release_if_complete(id);
        }
    }
}

// ---- barriers of a warp

u32 Warp::release_warp_barrier(const Instruction* instruction, u32 arriving) {
    const std::vector<Instruction>& code = grid().program->code;
    u32 masks[kLanes] = {};
    u32 waiting = 0;
    const auto collect = [&](const Instruction& barrier, u32 lanes) {
        waiting |= lanes;
        for (int l = 0; l < kLanes; ++l) {
            if (lanes >> l & 1u) masks[l] = this->lanes<u32>(barrier.slot[0])[l] & live();
        }
    };
    if (instruction != nullptr) collect(*instruction, arriving);
    for (const LaneGroup& group : groups_) {
        if (group.barrier == kWarpBarrier && !group.is_released) collect(code[group.pc], group.lanes);
    }
    if (waiting == 0) return 0;
    u32 complete = 0;
    for (int l = 0; l < kLanes; ++l) {
        if ((waiting >> l & 1u) == 0 || (masks[l] & ~waiting) != 0) continue;
        u32 same = 0;  // lanes that wait with the same mask
        for (int k = 0; k < kLanes; ++k) same |= static_cast<u32>(masks[k] == masks[l]) << k;
        if ((masks[l] & ~same) == 0) complete |= 1u << l;
    }
    const std::size_t num_groups = groups_.size();
    for (std::size_t i = 0; i < num_groups; ++i) {
        LaneGroup& group = groups_[i];
        const u32 released = group.lanes & complete;
        if (group.barrier != kWarpBarrier || group.is_released || released == 0) continue;
        LaneGroup free = group;
        free.lanes = released;
        free.is_released = true;
        free.waits = WaitReason::none;
        if (released == group.lanes) {
            group = free;
        } else {
            group.lanes &= ~released;
            groups_.push_back(free);  // invalidates `group`
        }
    }
    return arriving & complete;
}

namespace {

// The lanes' value when it is the same in all of them.
bool is_uniform(const u32* values, u32 lanes, u32& value) {
    value = values[std::countr_zero(lanes)];
    u32 differs = 0;
    for (int l = 0; l < kLanes; ++l) differs |= static_cast<u32>(values[l] != value) << l;
    return (differs & lanes) == 0;
}

constexpr const char* kUseNames[] = {"a synchronisation", "a count", "an and", "an or"};

// bar.sync and its kin. slot[0]: id, slot[1]: threads, if given.
Flow run_barrier(Warp& warp, const Instruction& instruction, u32 active) {
    Block& block = warp.block();
    if (warp.running_group().is_released) {
        const u32 result = warp.running_group().result;
        warp.running_group().is_released = false;
        warp.running_group().barrier = -1;
        if (instruction.detail[kBarrierUse] == static_cast<i32>(BarrierUse::popc)) {
            u32* out = warp.lanes<u32>(instruction.slot[instruction.detail[kBarrierResult]]);
            for (int l = 0; l < kLanes; ++l) {
                if (active >> l & 1u) out[l] = result;
            }
        } else if (instruction.detail[kBarrierUse] != static_cast<i32>(BarrierUse::sync)) {
            u32& out = warp.predicate(instruction.predicate[instruction.detail[kBarrierResult]]);
            out = (out & ~active) | (result != 0 ? active : 0);
        }
        return Flow::next;
    }
    if (instruction.flag[kBarrierAligned] && !warp.is_converged(instruction, warp.live(), active))
        return Flow::wait;

    const auto bad = [&](std::string text) {
        return warp.report(FindingKind::bad_operand, instruction, active, 0, std::move(text));
    };
    u32 id = 0, count = 0;
    if (!is_uniform(warp.lanes<u32>(instruction.slot[0]), active, id))
        return bad("the barrier's number is not the same in all lanes");
    if (id >= kNumBarriers) return bad(fmt::format("barrier {}, expected 0 to {}", id, kNumBarriers - 1));
    const u32 block_threads = static_cast<u32>(block.warps.size()) * kLanes;
    if (instruction.detail[kBarrierCountSlot] >= 0) {
        if (!is_uniform(warp.lanes<u32>(instruction.slot[instruction.detail[kBarrierCountSlot]]), active,
                        count))
            return bad("the number of threads is not the same in all lanes");
        if (count == 0 || count % kLanes != 0)
            return bad(
                fmt::format("barrier {} for {} threads, expected a multiple of 32 above 0", id, count));
        if (count > block_threads) {
            return bad(fmt::format("barrier {} for {} threads, which a block of {} cannot complete", id,
                                   count, warp.grid().num_threads()));
        }
    }

    NamedBarrier& barrier = block.barriers[id];
    const auto use = static_cast<BarrierUse>(instruction.detail[kBarrierUse]);
    if (!barrier.is_open) {
        barrier.is_open = true;
        barrier.use = use;
        barrier.expected = count;
    } else {
        const auto threads = [&](u32 n) { return n == 0 ? block_threads : n; };
        if (threads(barrier.expected) != threads(count)) {
            return bad(fmt::format("barrier {} for {} threads, but others arrived there for {}", id,
                                   threads(count), threads(barrier.expected)));
        }
        if (barrier.use != use) {
            return bad(fmt::format("barrier {} for {}, but others arrived there for {}", id,
                                   kUseNames[instruction.detail[kBarrierUse]],
                                   kUseNames[static_cast<int>(barrier.use)]));
        }
        if (barrier.expected == 0) barrier.expected = count;
    }
    u32 holding = 0;
    if (use != BarrierUse::sync) {
        holding = warp.predicate(instruction.predicate[instruction.detail[kBarrierSource]]);
        if (instruction.flag[kBarrierNegated]) holding = ~holding;
    }

    // The warp is one of those that wait while it arrives, so that all are released alike.
    LaneGroup& group = warp.running_group();
    group.pc = warp.pc_of(instruction);
    group.barrier = static_cast<i8>(id);
    block.arrive(static_cast<int>(id), warp, active, holding);
    if (group.is_released) return run_barrier(warp, instruction, active);
    warp.wait_for(WaitReason::barrier);
    return Flow::wait;
}

Flow run_warp_barrier(Warp& warp, const Instruction& instruction, u32 active) {
    LaneGroup& group = warp.running_group();
    if (group.is_released) {
        group.is_released = false;
        group.barrier = -1;
        return Flow::next;
    }
    const u32* masks = warp.lanes<u32>(instruction.slot[0]);
    u32 mask = 0;
    if (is_uniform(masks, active, mask)) {
        if ((active & ~mask) != 0 && warp.level() != CheckLevel::off) {
            return warp.report(FindingKind::bad_operand, instruction, active & ~mask, 0,
                               fmt::format("{} not in the mask {:#010x}", lanes_text(active & ~mask), mask));
        }
        if ((mask & warp.live() & ~active) == 0) return Flow::next;
    }
    u32 needed = 0;
    for (int l = 0; l < kLanes; ++l) {
        if ((active >> l & 1u) == 0) continue;
        needed |= masks[l];
        if ((masks[l] >> l & 1u) == 0 && warp.level() != CheckLevel::off) {
            return warp.report(FindingKind::bad_operand, instruction, 1u << l, 0,
                               fmt::format("lane {} is not in its mask {:#010x}", l, masks[l]));
        }
    }
    const u32 complete = warp.release_warp_barrier(&instruction, active);
    if (complete == active) return Flow::next;
    if (complete != 0) {
        LaneGroup free{warp.pc_of(instruction), complete};
        free.barrier = kWarpBarrier;
        free.is_released = true;
        warp.running_group().lanes &= ~complete;
        warp.groups().push_back(free);
    }
    warp.running_group().barrier = kWarpBarrier;
    warp.wait_for(WaitReason::warp_barrier, needed);
    return Flow::wait;
}

void bind_barrier_operands(Binding& b, bool has_result) {
    Instruction& instruction = b.instruction();
    const auto use = static_cast<BarrierUse>(instruction.detail[kBarrierUse]);
    const int first = has_result ? 1 : 0;  // the barrier's number
    const int rest = b.num_operands() - first - (has_result ? 1 : 0);
    b.source(first, Type::u32);
    instruction.detail[kBarrierCountSlot] = rest > 1 ? b.source(first + 1, Type::u32) : -1;
    if (!has_result) return;
    instruction.detail[kBarrierResult] =
        use == BarrierUse::popc ? b.dest(0, Type::u32) : b.dest_predicate(b.operand(0));
    instruction.detail[kBarrierSource] =
        b.source_predicate(b.operand(b.num_operands() - 1), &instruction.flag[kBarrierNegated]);
}

bool has_modifier(const Binding& b, std::string_view modifier) {
    const std::vector<std::string>& modifiers = b.statement().modifiers;
    return std::find(modifiers.begin(), modifiers.end(), modifier) != modifiers.end();
}

Status bind_warp_barrier(Binding& b) {
    if (!b.take("warp")) return not_mine();
    if (!b.take("sync")) b.error("expected .sync");
    b.source(0, Type::b32);
    b.handler(run_warp_barrier);
    return {};
}

Status bind_barrier(Binding& b) {
    if (has_modifier(b, "warp")) return not_mine();
    Instruction& instruction = b.instruction();
    b.take("cta");
    // bar is barrier.aligned.
    instruction.flag[kBarrierAligned] = b.take("aligned") || b.statement().opcode == "bar";
    const std::string_view kind = b.take_one_of({"sync", "arrive", "red"});
    BarrierUse use = BarrierUse::sync;
    if (kind == "red") {
        const std::string_view operation = b.take_one_of({"popc", "and", "or"});
        use = operation == "popc" ? BarrierUse::popc : operation == "and" ? BarrierUse::all : BarrierUse::any;
        WW_ASSIGN(const Type type, b.type());
        if (operation.empty() || type != (operation == "popc" ? Type::u32 : Type::pred))
            b.error("expected .popc.u32, .and.pred or .or.pred");
    } else if (kind.empty()) {
        b.error("expected .sync, .arrive or .red");
    } else if (kind == "arrive") {
        instruction.flag[kBarrierArrives] = true;
        if (b.num_operands() < 2) b.error("expected the number of threads");
    }
    instruction.detail[kBarrierUse] = static_cast<i32>(use);
    bind_barrier_operands(b, kind == "red");
    b.handler(run_barrier);
    return {};
}

constexpr std::string_view kForms =
    "{.cta} .sync .arrive .red.popc.u32 .red.and.pred .red.or.pred; numbers and counts in registers too";
constexpr Opcode kOpcodes[] = {
    {"bar", bind_barrier, "9.7.13.1", kForms},
    {"barrier", bind_barrier, "9.7.13.1", "{.aligned}, else as bar"},
    {"bar", bind_warp_barrier, "9.7.13.2", ".warp.sync"},
};

}  // namespace

std::span<const Opcode> barrier_opcodes() {
    return kOpcodes;
}

}  // namespace warpwright::emulator
