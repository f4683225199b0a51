// SPDX-License-Identifier: Apache-2.0
// The state of a running grid: Grid -> Block -> Warp. Handlers get the Warp.
//
// Each lane has its own program counter, kept as groups of lanes that stand at the same instruction. The
// group with the lowest counter runs; groups that meet merge. PTX of a compiler is close to topological
// order, so this reconverges at or before the post-dominator; a group that waits or spins lets the next one
// run, so lanes of one warp can wait for each other (forward progress of every lane, PTX ISA 3.2).
#pragma once

#include <array>
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
constexpr int kMaxWarps = 32;  // of a block

class Warp;
class Block;
class Grid;

// What a group waits for after Flow::wait.
//   none          nothing: it can run
//   convergence   other lanes of the warp, at this same instruction. Two different instructions never match,
//                 although PTX lets lanes meet at different shfl.sync with the same mask: compilers
//                 reconverge before them
//   barrier       a barrier of the block
//   warp_barrier  bar.warp.sync: lanes of the warp, at any bar.warp.sync
//   memory        something that is asked again when the warp's turn comes
enum class WaitReason : u8 { none, convergence, barrier, warp_barrier, memory };

constexpr int kWarpBarrier = kNumBarriers;  // LaneGroup::barrier of bar.warp.sync

// Lanes that stand at the same instruction. Groups that meet merge, but not while one of them has arrived at
// a barrier: the other has not.
struct LaneGroup {
    i32 pc = 0;
    u32 lanes = 0;
    WaitReason waits = WaitReason::none;  // its last instruction returned Flow::wait
    i8 barrier = -1;                      // where it has arrived
    bool is_released = false;             // and that is complete: the instruction goes on when it runs again
    u32 result = 0;                       // of bar.red
    u32 needed = 0;                       // lanes: of a convergence or of bar.warp.sync
};

// All that decides what a warp does next, but for memory that others can change.
struct WarpState {
    i32 pc = 0;  // of the running group: tells most states apart
    std::vector<u32> position;
    std::vector<std::byte> bytes;
};

// What the scheduler knows of a warp. See scheduler.h.
struct Turn {
    bool is_blocked = false;  // no group can run before a barrier lets one
    bool is_asleep = false;   // spins, or asks memory: nothing to do while Grid::progress is asleep_at
    u64 asleep_at = 0;
    u64 period = 0;                 // warp instructions of a round of its loop; 0: it only asks
    i32 first_pc = 0, last_pc = 0;  // of the loop
    WarpState state;
    u64 idle = 0;  // warp instructions that changed nothing
    int patience =
        1;  // how much of them is looked into, see look_for_spin(); doubled when it turned out to compute
};

// Why Warp::run() came back.
enum class Pause : u8 {
    quantum,   // has run its share
    yielded,   // an instruction asked for others to run
    blocked,   // no group can run before something else happens
    finished,  // all lanes have exited
    stopped,   // the launch ends: a finding was made
};

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
    // Of a programmatic launch: lanes that have not waited for the grid before it (griddepcontrol.wait).
    u32 unordered = 0;
    // Lanes that have arrived at the cluster's barrier, and those whom it lets go on.
    u32 cluster_arrived = 0, cluster_released = 0;

    // --- convergence, for .sync and .aligned instructions ---
    // True when every live lane of `needed` is in `active`: go on. Else sets the reason of the wait, and the
    // handler returns Flow::wait; when no lane of the warp can go on, that is a finding.
    bool is_converged(const Instruction&, u32 needed, u32 active) {
        if ((needed & live() & ~active) == 0) [[likely]]
            return true;
        wait_for(WaitReason::convergence, needed);
        return false;
    }

    // --- findings ---
    // Records one and returns Flow::fault: `return warp.report(...)`. `lanes`: all lanes concerned, not 0.
    Flow report(FindingKind kind, const Instruction& instruction, u32 lanes, u64 address, std::string text);

    // Counts the changes of what other warps can see: stores and atomics that changed a value. It is how a
    // loop that waits is told from one that works; run() makes it known to others when it comes back.
    void note_change() { ++num_changes_; }

    // The count behind %clock: warp instructions executed before this one. A loop that asks for it is none
    // that only waits.
    u64 clock(const Instruction& instruction);

    // --- for the machine only ---
    // What the group waits for whose handler is about to return Flow::wait; `memory` if it does not say.
    void wait_for(WaitReason reason, u32 needed = 0) {
        reason_ = reason;
        needed_ = needed;
    }
    LaneGroup& running_group() { return groups_[running_]; }
    std::vector<LaneGroup>& groups() { return groups_; }
    i32 pc_of(const Instruction& instruction) const;
    // Releases lanes at bar.warp.sync for which nobody is missing. `arriving` of the running group are there
    // too, at `instruction` (null: nobody arrives); returns those of them that need not wait.
    u32 release_warp_barrier(const Instruction* instruction, u32 arriving);
    // Executes up to `quantum` warp instructions.
    Pause run(u64 quantum);
    u64 num_changes() const { return num_changes_; }
    u64 num_instructions = 0;  // executed
    Turn turn;
    // `with_counts`: with those that decide when another group runs.
    void save(WarpState& state, bool with_counts) const;
    bool is_at(const WarpState& state, bool with_counts);

    // --- memory ---
    LocalMemory local;
    AsyncCopies async;
    TranslationCache translations;

private:
    friend class Block;

    // spin.cpp
    void save_position(std::vector<u32>& words, bool with_counts) const;
    std::array<std::span<const std::byte>, 2> contents() const;
    // run.cpp: groups
    Pause run_groups(u64 quantum);
    bool choose();
    void rotate();
    bool is_spinning();
    void merge();
    void split_off(u32 lanes, i32 pc);
    i32 next_meeting(i32 end) const;
    // run.cpp: what a handler's Flow does with the running group, whose pc is the instruction's
    void branch(const Instruction& instruction, u32 taken);
    void exit_lanes(u32 lanes);
    Flow wait(const Instruction& instruction, u32 active);
    Pause nothing_runs();

    std::byte* registers_ = nullptr;
    u32* predicates_ = nullptr;
    Block* block_ = nullptr;
    int index_ = 0;
    u32 existing_ = 0;
    u32 exited_ = 0;
    CheckLevel level_ = CheckLevel::all;

    std::vector<LaneGroup> groups_;  // disjoint; in no order
    int running_ = 0;                // the group that runs; its pc is up to date only between instructions
    bool is_forced_ = false;         // it runs out of order: a lower one waits for what it may do
    u32 num_spins_ = 0;              // backward branches since the running group changed or memory did
    u32 num_loops_ = 0;              // backward branches since the running group changed
    u64 num_changes_ = 0;
    u64 changes_seen_ = 0;
    WaitReason reason_ = WaitReason::memory;  // see wait_for()
    u32 needed_ = 0;
    u32 num_clock_reads_ = 0;
    std::vector<u32> scratch_;  // of is_at()
    WarpState spin_state_;
    i32 segment_start_ = 0;  // instructions from here on are not counted in num_instructions yet
};

}  // namespace warpwright::emulator
