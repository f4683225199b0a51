// SPDX-License-Identifier: Apache-2.0
// The machine by programs made by hand: divergence, scheduling, barriers.
#include <gtest/gtest.h>

#include "emulator/machine/grid.h"
#include "emulator/machine/launch.h"
#include "run_ptx.h"

namespace warpwright::emulator {
namespace {

// A program of handlers that stand here. Slot 0 counts the lane's visits.
class HandMade {
public:
    HandMade() {
        program_.name = "hand_made";
        program_.num_slots = 8;
        program_.num_predicates = 8;
    }
    Instruction& add(Handler handler, std::string name) {
        Instruction instruction;
        instruction.handler = handler;
        instruction.statement = static_cast<i32>(program_.code.size());
        program_.statements.push_back({std::move(name), static_cast<int>(program_.code.size()) + 1, 0, 0});
        program_.code.push_back(instruction);
        return program_.code.back();
    }
    Program& program() { return program_; }
    LaunchReport run(u32 threads, const LaunchOptions& options = {}) {
        LaunchConfig config;
        config.block.x = threads;
        GlobalMemory memory(0, 1 << 20);
        return run_grid(program_, *find_target("h100-sxm"), {}, memory, config, {}, options);
    }

private:
    Program program_;
};

Flow count_visit(Warp& warp, const Instruction& instruction, u32 active) {
    u32* visits = warp.lanes<u32>(instruction.slot[0]);
    for (int l = 0; l < kLanes; ++l) visits[l] += active >> l & 1u;
    return Flow::next;
}
Flow go(Warp&, const Instruction&, u32) {
    return Flow::branch;
}

// p[predicate] = visits < lane + immediate: a loop with a trip count of its own for each lane.
Flow visits_below_lane(Warp& warp, const Instruction& instruction, u32 active) {
    const u32* visits = warp.lanes<u32>(instruction.slot[0]);
    u32& predicate = warp.predicate(instruction.predicate[0]);
    for (u32 l = 0; l < kLanes; ++l) {
        if ((active >> l & 1u) == 0) continue;
        const bool holds = visits[l] < l + static_cast<u32>(instruction.immediate);
        predicate = (predicate & ~(1u << l)) | static_cast<u32>(holds) << l;
    }
    return Flow::next;
}
Flow clear(Warp& warp, const Instruction& instruction, u32 active) {
    u32* out = warp.lanes<u32>(instruction.slot[0]);
    for (int l = 0; l < kLanes; ++l) {
        if (active >> l & 1u) out[l] = 0;
    }
    return Flow::next;
}
// Prints the visits of all lanes, and which of them are together.
Flow print_visits(Warp& warp, const Instruction& instruction, u32 active) {
    std::string text = std::to_string(active) + ":";
    for (int l = 0; l < kLanes; ++l) {
        if (active >> l & 1u) text += " " + std::to_string(warp.lanes<u32>(instruction.slot[0])[l]);
    }
    warp.grid().print(text + "\n");
    return Flow::next;
}

TEST(Machine, LoopsWithATripCountForEachLaneReconverge) {
    HandMade made;
    made.add(clear, "clear");
    made.add(count_visit, "count");
    Instruction& compare = made.add(visits_below_lane, "compare");
    compare.predicate[0] = 3;
    compare.immediate = 5;
    Instruction& again = made.add(go, "bra");
    again.guard = 3;
    again.target = 1;
    made.add(print_visits, "print");
    const LaunchReport report = made.run(32);
    EXPECT_FALSE(report.finding);
    std::string expected = "4294967295:";
    for (int l = 0; l < kLanes; ++l) expected += " " + std::to_string(l + 5);
    EXPECT_EQ(report.printed, expected + "\n");
}

LaunchReport run_text(std::string_view body, u32 blocks, u32 threads, const LaunchOptions& options = {}) {
    RunPtx run(ptx_kernel("", body));
    EXPECT_EQ(run.load_error(), "");
    run.options = options;
    return run.launch({.grid = {blocks}, .block = {threads}});
}

TEST(Machine, BarrierThatNobodyElseReachesIsADeadlock) {
    const LaunchReport report = run_text("bar.sync 1, 64;", 1, 32 + 64);
    ASSERT_TRUE(report.finding);
    EXPECT_EQ(
        finding_text(*report.finding),
        "kernel: deadlock at line 7 (bar.sync), block 0,0,0 warp 2 lane 0: no warp of the block can go on\n"
        "  block 0,0,0 warp 2 lanes 0-31 at line 7 (bar.sync): waits at barrier 1, where 32 of 64 threads "
        "have arrived: no other warp is left");
}

}  // namespace
}  // namespace warpwright::emulator
