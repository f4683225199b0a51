// SPDX-License-Identifier: Apache-2.0
// The state of a running grid: Grid -> Block -> Warp. Handlers get the Warp.
//
// Each lane has its own program counter, kept as groups of lanes that stand at the same instruction. The
// group with the lowest counter runs; groups that meet merge. PTX of a compiler is close to topological
// order, so this reconverges at or before the post-dominator; a group that waits or spins lets the next one
// run, so lanes of one warp can wait for each other (forward progress of every lane, PTX ISA 3.2).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "emulator/check/finding.h"
#include "emulator/decode/program.h"
#include "emulator/memory/async.h"
#include "emulator/memory/block_memory.h"
#include "warpwright/device.h"

namespace warpwright::emulator {

constexpr int kLanes = 32;
constexpr u32 kAllLanes = 0xffff'ffffu;
constexpr int kNumBarriers = 16;

class Warp;
class Block;
class Grid;

// Lanes that stand at the same instruction.
struct LaneGroup {
    i32 pc = 0;
    u32 lanes = 0;
    bool is_waiting = false;  // its last instruction returned Flow::wait
};

enum class WaitReason : u8 { none, convergence, barrier, warp_barrier, memory };

class Warp {
public:
    // --- registers ---
    // The 32 lanes of a slot as T (4 bytes: one slot, 8: two, 16: four). 64-byte aligned.
    template <class T>
    T* lanes(u16 slot) {
        return reinterpret_cast<T*>(registers_ + static_cast<std::size_t>(slot) * 128);
    }
    u32& predicate(u16 index) { return predicates_[index]; }
    u32 carry = 0;  // CC.CF of every lane: add.cc, addc, madc... PTX ISA 9.7.2

    // --- who it is ---
    Block& block() { return *block_; }
    Grid& grid();
    int index() const { return index_; }        // in its block
    u32 existing() const { return existing_; }  // lanes that were launched: fewer in a block's last warp
    u32 exited() const { return exited_; }
    u32 live() const { return existing_ & ~exited_; }
    CheckLevel level() const { return level_; }

    // --- convergence, for .sync and .aligned instructions ---
    // True when every live lane of `needed` is in `active`: go on. Else sets the reason of the wait, and the
    // handler returns Flow::wait; when no lane of the warp can go on, that is a finding.
    bool is_converged(const Instruction& instruction, u32 needed, u32 active);

    // --- findings ---
    // Records one and returns Flow::fault: `return warp.report(...)`. `lanes`: all lanes concerned, not 0.
    Flow report(FindingKind kind, const Instruction& instruction, u32 lanes, u64 address, std::string text);

    // --- for control.cpp and the scheduler only ---
    std::vector<LaneGroup> groups;  // disjoint; in no order
    int running = 0;                // index of the running group
    WaitReason reason = WaitReason::none;
    int barrier_waiting = -1;  // the id of the barrier this warp has arrived at and waits for
    u64 num_instructions = 0;  // warp instructions executed

    // --- memory ---
    LocalMemory local;
    AsyncCopies async;
    TranslationCache translations;

private:
    friend class Block;
    friend class Grid;
    std::byte* registers_ = nullptr;
    u32* predicates_ = nullptr;
    Block* block_ = nullptr;
    int index_ = 0;
    u32 existing_ = 0;
    u32 exited_ = 0;
    CheckLevel level_ = CheckLevel::all;
};

}  // namespace warpwright::emulator
