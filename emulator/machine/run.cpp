// SPDX-License-Identifier: Apache-2.0
// The run loop of a warp. See warp.h for what a group is.
#include <algorithm>
#include <bit>
#include <limits>

#include <fmt/format.h>
#include "emulator/machine/grid.h"
#include "emulator/machine/text.h"

namespace warpwright::emulator {
namespace {

// After so many backward branches of a part of a warp, during which nothing changed that others can see, its
// state is looked at: when it stays the same, the loop waits for somebody, and the next group runs. Any other
// loop computes, and the lanes that it has left wait for it where they meet.
constexpr u32 kSpinsToCheck = 32;
constexpr u32 kRoundsToCompare = 4;
// And after so many in any case: a loop may count the rounds that it waits.
constexpr u32 kMaxLoops = 8192;

bool can_merge(const LaneGroup& a, const LaneGroup& b) {
    return a.pc == b.pc && a.barrier < 0 && b.barrier < 0;
}

bool is_aligned(std::string_view name) {
    return name.find(".aligned") != std::string_view::npos || name.starts_with("bar.");
}

}  // namespace

// Makes the group run that stands lowest, unless another was told to; false when all wait.
bool Warp::choose() {
    if (is_forced_ && groups_[running_].waits == WaitReason::none) return true;
    is_forced_ = false;
    int best = -1;
    for (int i = 0; i < static_cast<int>(groups_.size()); ++i) {
        if (groups_[i].waits != WaitReason::none) continue;
        if (best < 0 || groups_[i].pc < groups_[best].pc) best = i;
    }
    if (best < 0) return false;
    if (best != running_) num_spins_ = num_loops_ = 0;
    running_ = best;
    return true;
}

// Makes the next group run, in the order of pcs and from the last to the first.
void Warp::rotate() {
    const auto key = [this](int i) { return std::pair(groups_[i].pc, i); };
    const int current = running_;
    int next = -1, first = -1;
    for (int i = 0; i < static_cast<int>(groups_.size()); ++i) {
        if (i == current || groups_[i].waits != WaitReason::none) continue;
        if (key(i) > key(current) && (next < 0 || key(i) < key(next))) next = i;
        if (first < 0 || key(i) < key(first)) first = i;
    }
    num_spins_ = num_loops_ = 0;
    is_forced_ = first >= 0;
    if (is_forced_) running_ = next >= 0 ? next : first;
}

// Takes in the groups that stand where the running one does.
void Warp::merge() {
    for (int i = 0; i < static_cast<int>(groups_.size()); ++i) {
        if (i == running_ || !can_merge(groups_[i], groups_[running_])) continue;
        groups_[running_].lanes |= groups_[i].lanes;
        groups_[i] = groups_.back();
        if (running_ == static_cast<int>(groups_.size()) - 1) running_ = i;
        groups_.pop_back();
        is_forced_ = false;
        --i;
    }
}

// Lanes that were part of the running group stand at `pc` now.
void Warp::split_off(u32 lanes, i32 pc) {
    const LaneGroup fresh{pc, lanes};
    for (LaneGroup& group : groups_) {
        if (&group == &groups_[running_] || !can_merge(group, fresh)) continue;
        group.lanes |= lanes;
        group.waits = WaitReason::none;
        return;
    }
    groups_.push_back(fresh);
}

// How far the running group may go before it meets another.
i32 Warp::next_meeting(i32 end) const {
    const i32 pc = groups_[running_].pc;
    for (const LaneGroup& group : groups_) {
        if (group.pc > pc && group.barrier < 0) end = std::min(end, group.pc);
    }
    return end;
}

void Warp::branch(const Instruction& instruction, u32 taken) {
    LaneGroup& group = groups_[running_];
    const i32 pc = group.pc;
    const u32 rest = group.lanes & ~taken;
    group.lanes = taken;
    group.pc = instruction.target;
    if (rest != 0) split_off(rest, pc + 1);
    merge();
    if (instruction.target > pc || groups_.size() == 1) return;
    if (num_changes_ != changes_seen_) num_spins_ = 0;
    changes_seen_ = num_changes_;
    if (is_spinning() || ++num_loops_ >= kMaxLoops) rotate();
}

// Called at each backward branch of a part of the warp.
bool Warp::is_spinning() {
    ++num_spins_;
    if (num_spins_ < kSpinsToCheck) return false;
    // At 32, 64, 128...: those after them are compared with it.
    const u32 since_check = num_spins_ - std::bit_floor(num_spins_);
    if (since_check == 0) save(spin_state_, false);
    return since_check > 0 && since_check <= kRoundsToCompare && is_at(spin_state_, false);
}

void Warp::exit_lanes(u32 lanes) {
    exited_ |= lanes;
    LaneGroup& group = groups_[running_];
    group.lanes &= ~lanes;
    ++group.pc;
    if (group.lanes == 0) {
        group = groups_.back();
        groups_.pop_back();
        running_ = 0;
        is_forced_ = false;
    } else {
        merge();
    }
    // Nobody waits for lanes that are gone.
    for (LaneGroup& other : groups_) {
        if (other.waits == WaitReason::convergence) other.waits = WaitReason::none;
    }
    release_warp_barrier(nullptr, 0);
    block().lanes_exited(*this);
}

// Lanes whose guard did not hold are done with the instruction and go on.
Flow Warp::wait(const Instruction& instruction, u32 active) {
    LaneGroup& group = groups_[running_];
    const u32 rest = group.lanes & ~active;
    group.waits = reason_;
    group.needed = needed_;
    wait_for(WaitReason::memory);
    if (rest == 0) return Flow::wait;
    if (group.waits == WaitReason::convergence && (group.needed & rest) != 0) {
        const auto& statements = grid().program->statements;
        const auto statement = static_cast<std::size_t>(instruction.statement);
        if (statement < statements.size() && is_aligned(statements[statement].name)) {
            const bool is_barrier = statements[statement].name.starts_with("bar");
            return report(is_barrier ? FindingKind::divergent_barrier : FindingKind::non_convergent,
                          instruction, group.needed & rest, 0,
                          fmt::format("all lanes of the warp must execute it together, but the guard is "
                                      "false in {} and true in {}",
                                      lanes_text(group.needed & rest), lanes_text(active)));
        }
    }
    group.lanes &= active;
    split_off(rest, group.pc + 1);
    return Flow::wait;
}

// All groups wait. When each waits for lanes of this warp, none can ever go on.
Pause Warp::nothing_runs() {
    const LaneGroup* first = nullptr;
    for (const LaneGroup& group : groups_) {
        if (group.waits != WaitReason::convergence && group.waits != WaitReason::warp_barrier)
            return Pause::blocked;
        if (first == nullptr || group.pc < first->pc) first = &group;
    }
    const Program& program = *grid().program;
    const Instruction& instruction = program.code[first->pc];
    const u32 missing = first->needed & live() & ~first->lanes;
    std::string text =
        fmt::format("{} cannot go on without {}:", lanes_text(first->lanes), lanes_text(missing));
    for (const LaneGroup& group : groups_) {
        if (&group == first) continue;
        text += fmt::format(" {} at {};", lanes_text(group.lanes), place_text(program, group.pc));
    }
    text.pop_back();
    const bool is_barrier =
        first->waits == WaitReason::convergence &&
        static_cast<std::size_t>(instruction.statement) < program.statements.size() &&
        program.statements[static_cast<std::size_t>(instruction.statement)].name.starts_with("bar");
    report(is_barrier ? FindingKind::divergent_barrier : FindingKind::non_convergent, instruction,
           first->lanes, 0, std::move(text));
    return Pause::stopped;
}

Pause Warp::run(u64 quantum) {
    const u64 changes = num_changes_;
    const Pause pause = run_groups(quantum);
    if (num_changes_ != changes || pause == Pause::finished)
        grid().progress.fetch_add(1, std::memory_order_release);
    return pause;
}

Pause Warp::run_groups(u64 quantum) {
    Grid& grid = this->grid();
    const Instruction* const code = grid.program->code.data();
    const i32 end = static_cast<i32>(grid.program->code.size());
    i32 budget = static_cast<i32>(std::clamp<u64>(quantum, 1, std::numeric_limits<i32>::max() / 2));
    for (LaneGroup& group : groups_) {
        if (group.waits == WaitReason::memory) group.waits = WaitReason::none;
    }
    while (!groups_.empty()) {
        if (grid.stop.load(std::memory_order_relaxed)) return Pause::stopped;
        if (!choose()) return nothing_runs();
        if (budget <= 0) return Pause::quantum;

        const bool is_alone = groups_.size() == 1;
        const u32 lanes = groups_[running_].lanes;
        const i32 meeting = is_alone ? end : next_meeting(end);
        i32 pc = groups_[running_].pc;
        Flow flow;
        u32 active;
        for (;;) {
            const i32 start = segment_start_ = pc;
            const i32 stop = meeting - pc > budget ? pc + budget : meeting;
            flow = Flow::next;
            active = 0;
            while (pc < stop) {
                const Instruction& instruction = code[pc];
                active = lanes;
                if (instruction.guard != kNoPredicate) {
                    const u32 predicate = predicates_[instruction.guard];
                    active &= instruction.guard_negated ? ~predicate : predicate;
                    if (active == 0) {
                        ++pc;
                        continue;
                    }
                }
                flow = instruction.handler(*this, instruction, active);
                if (flow != Flow::next) break;
                ++pc;
            }
            const i32 executed = pc - start + (flow != Flow::next && flow != Flow::wait ? 1 : 0);
            num_instructions += static_cast<u64>(executed);
            budget -= executed;
            if (flow != Flow::branch || active != lanes || !is_alone || budget <= 0) break;
            pc = code[pc].target;
        }

        groups_[running_].pc = pc;
        segment_start_ = pc;
        switch (flow) {
            case Flow::next:
                if (pc >= end) {
                    exit_lanes(lanes);
                } else if (!is_alone) {
                    merge();
                }
                break;
            case Flow::branch: branch(code[pc], active); break;
            case Flow::wait:
                if (wait(code[pc], active) == Flow::fault) return Pause::stopped;
                break;
            case Flow::yield:
                ++groups_[running_].pc;
                merge();
                rotate();
                return Pause::yielded;
            case Flow::exit: exit_lanes(active); break;
            case Flow::fault: return Pause::stopped;
        }
    }
    return Pause::finished;
}

}  // namespace warpwright::emulator
