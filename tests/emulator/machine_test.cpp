// SPDX-License-Identifier: Apache-2.0
// Warps: lanes that part and meet, and lanes that wait for each other.
#include <random>

#include <gtest/gtest.h>

#include "machine_kernels.h"

namespace warpwright::emulator {
namespace {

TEST(Warps, BothSidesOfABranchMeetAgain) {
    const auto out = run_clean(32, R"(
        setp.lt.u32 %p0, %r1, 7;
        @%p0 bra LOW;
        activemask.b32 %r2;
        bra.uni MEET;
        LOW:
        activemask.b32 %r2;
        MEET:
        activemask.b32 %r3;
        xor.b32 %r2, %r2, %r3;
        st.global.u32 [%rd1], %r2;
    )");
    EXPECT_EQ(out, each_thread(32, [](u32 l) { return l < 7 ? 0xffff'ff80u : 0x7fu; }));
}

TEST(Warps, NestedLoopsOfDifferentLengths) {
    const auto out = run_clean(96, R"(
        mov.u32 %r2, 0;  // i
        mov.u32 %r4, 0;  // sum
        OUTER:
        mov.u32 %r3, 0;  // j
        INNER:
        mad.lo.u32 %r4, %r2, %r3, %r4;
        add.u32 %r3, %r3, 1;
        add.u32 %r5, %r2, %r0;
        and.b32 %r5, %r5, 7;
        setp.le.u32 %p0, %r3, %r5;
        @%p0 bra INNER;
        add.u32 %r2, %r2, 1;
        setp.le.u32 %p0, %r2, %r0;
        @%p0 bra OUTER;
        activemask.b32 %r6;
        setp.ne.u32 %p1, %r6, -1;
        @%p1 trap;
        st.global.u32 [%rd1], %r4;
    )");
    EXPECT_EQ(out, each_thread(96, [](u32 t) {
                  u32 sum = 0;
                  for (u32 i = 0; i <= t; ++i) {
                      for (u32 j = 0; j <= ((i + t) & 7); ++j) sum += i * j;
                  }
                  return sum;
              }));
}

// A lane's place in a register depends on its width: of registers that share memory, but are used by
// different lanes at different places of the code, none may change.
TEST(Warps, LanesThatStandElsewhereKeepTheirRegisters) {
    RunPtx run(ptx_kernel(".param .u64 out", R"(
        .reg .b64 %rd<4>;  .reg .b32 %r<3>;  .reg .pred %p;
        mov.u32 %r0, %tid.x;
        bra.uni HIGH;
    LOW:
        ld.param.u64 %rd0, [out];
        mul.wide.u32 %rd1, %r0, 4;
        add.s64 %rd0, %rd0, %rd1;
        mov.u64 %rd2, 0x1234567890abcdef;
        mov.u64 %rd3, 0xfedcba0987654321;
        xor.b64 %rd2, %rd2, %rd3;
        st.global.u32 [%rd0], %rd2;
        ret;
    HIGH:
        add.u32 %r1, %r0, 100;
        add.u32 %r2, %r0, 1000;
        setp.ne.u32 %p, %r0, 16;
        @%p bra LOW;
        ld.param.u64 %rd0, [out];
        add.u32 %r1, %r1, %r2;
        st.global.u32 [%rd0+64], %r1;
    )"));
    const u64 out = run.put(std::vector<u32>(32));
    EXPECT_FALSE(run.launch({.block = {32}}, out).finding);
    EXPECT_EQ(run.get<u32>(out, 32)[16], 1132u);
}

TEST(Warps, LanesThatExitAreNotWaitedFor) {
    const auto out = run_clean(64, R"(
        and.b32 %r2, %r1, 1;
        setp.eq.u32 %p0, %r2, 1;
        @%p0 exit;
        bar.warp.sync -1;
        bar.sync 0;
        vote.sync.ballot.b32 %r3, 1, -1;
        st.global.u32 [%rd1], %r3;
    )");
    EXPECT_EQ(out, each_thread(64, [](u32 t) { return t % 2 == 0 ? 0x5555'5555u : 0u; }));
}

TEST(Warps, LanesOfABlockThatIsNoMultipleOf32) {
    const auto out = run_clean(45, R"(
        bar.sync 0;
        activemask.b32 %r3;
        st.global.u32 [%rd1], %r3;
    )");
    EXPECT_EQ(out, each_thread(45, [](u32 t) { return t < 32 ? 0xffff'ffffu : 0x1fffu; }));
}

TEST(Warps, ALaneMaySpinOnWhatALaterInstructionOfItsWarpDoes) {
    const auto out = run_clean(32, R"(
        .shared .u32 flag;
        setp.eq.u32 %p0, %r1, 5;
        @%p0 st.volatile.shared.u32 [flag], 0;
        bar.warp.sync -1;
        @%p0 bra SET;
        SPIN:
        ld.volatile.shared.u32 %r2, [flag];
        setp.eq.u32 %p1, %r2, 0;
        @%p1 bra SPIN;
        bra DONE;
        SET:
        mov.u32 %r2, 77;
        st.volatile.shared.u32 [flag], %r2;
        DONE:
        bar.warp.sync -1;
        st.global.u32 [%rd1], %r2;
    )");
    EXPECT_EQ(out, each_thread(32, [](u32) { return 77u; }));
}

// A lock that lanes of one warp take one after the other: the classic deadlock of stacks of masks.
TEST(Warps, LanesOfAWarpTakeALockInTurn) {
    const auto out = run_clean(96, R"(
        .shared .u32 lock, count;
        setp.ne.u32 %p0, %r0, 0;
        @!%p0 st.shared.u32 [lock], 0;
        @!%p0 st.shared.u32 [count], 0;
        bar.sync 0;
        TAKE:
        atom.shared.cas.b32 %r2, [lock], 0, 1;
        setp.ne.u32 %p1, %r2, 0;
        @%p1 bra TAKE;
        ld.volatile.shared.u32 %r3, [count];
        add.u32 %r3, %r3, 1;
        st.volatile.shared.u32 [count], %r3;
        atom.shared.exch.b32 %r4, [lock], 0;
        bar.sync 0;
        ld.shared.u32 %r5, [count];
        st.global.u32 [%rd1], %r5;
    )");
    EXPECT_EQ(out, each_thread(96, [](u32) { return 96u; }));
}

TEST(Warps, ALoopThatChangesMemoryWhileItWaitsDoesNotStarveTheOthers) {
    const auto out = run_clean(32, R"(
        .shared .u32 flag, rounds;
        setp.eq.u32 %p0, %r1, 31;
        @%p0 st.volatile.shared.u32 [flag], 0;
        @%p0 st.volatile.shared.u32 [rounds], 0;
        bar.warp.sync -1;
        @%p0 bra SET;
        SPIN:
        atom.shared.add.u32 %r3, [rounds], 1;
        ld.volatile.shared.u32 %r2, [flag];
        setp.eq.u32 %p1, %r2, 0;
        @%p1 bra SPIN;
        bra DONE;
        SET:
        mov.u32 %r2, 1;
        st.volatile.shared.u32 [flag], %r2;
        DONE:
        st.global.u32 [%rd1], %r2;
    )");
    EXPECT_EQ(out, each_thread(32, [](u32) { return 1u; }));
}

TEST(Warps, SpinningLanesThatNobodyFreesAreAHang) {
    const Outcome outcome = run_warps(32, R"(
        .shared .u32 flag;
        st.volatile.shared.u32 [flag], 0;
        setp.lt.u32 %p0, %r1, 4;
        @!%p0 bra DONE;
        SPIN:
        ld.volatile.shared.u32 %r2, [flag];
        setp.eq.u32 %p1, %r2, 0;
        @%p1 bra SPIN;
        DONE:
        bar.warp.sync -1;
    )");
    ASSERT_TRUE(outcome.report.finding);
    EXPECT_EQ(outcome.report.finding->kind, FindingKind::deadlock);
    EXPECT_EQ(
        outcome.report.finding->text,
        "no warp of the grid can go on\n"
        "  block 0,0,0 warp 0 lanes 0-3 go round between line 22 (ld.volatile.shared.u32) and line 24 (bra), "
        "and nothing changes\n"
        "  block 0,0,0 warp 0 lanes 4-31 at line 26 (bar.warp.sync): wait for lanes 0-3");
    EXPECT_LT(outcome.report.warp_instructions, 100'000u);
}

TEST(Warps, AShuffleUnderAConditionNamesTheLanesThatAreElsewhere) {
    const Outcome outcome = run_warps(32, R"(
        setp.lt.u32 %p0, %r1, 16;
        @%p0 bra LOW;
        shfl.sync.bfly.b32 %r2, %r0, 1, 0x1f, 0xffffffff;
        bra MEET;
        LOW:
        shfl.sync.bfly.b32 %r2, %r0, 2, 0x1f, 0xffffffff;
        MEET:
        st.global.u32 [%rd1], %r2;
    )");
    ASSERT_TRUE(outcome.report.finding);
    EXPECT_EQ(outcome.report.finding->kind, FindingKind::non_convergent);
    EXPECT_EQ(outcome.report.finding->ptx_line, 19);
    EXPECT_EQ(outcome.report.finding->lanes, 0xffff'0000u);
    EXPECT_EQ(outcome.report.finding->text,
              "lanes 16-31 cannot go on without lanes 0-15: lanes 0-15 at line 22 (shfl.sync.bfly.b32)");
}

TEST(Warps, LanesThatAreStillBehindAreWaitedFor) {
    const auto out = run_clean(32, R"(
        mov.u32 %r2, 0;
        setp.eq.u32 %p0, %r1, 0;
        @!%p0 bra MEET;
        LOOP:  // lane 0 computes so long that the others run ahead
        add.u32 %r2, %r2, 1;
        setp.lt.u32 %p1, %r2, 5000;
        @%p1 bra LOOP;
        MEET:
        shfl.sync.idx.b32 %r3, %r2, 0, 0x1f, 0xffffffff;
        st.global.u32 [%rd1], %r3;
    )");
    EXPECT_EQ(out, each_thread(32, [](u32) { return 5000u; }));
}

TEST(Warps, AUniformBranchMustBeUniform) {
    const Outcome outcome = run_warps(32, R"(
        setp.lt.u32 %p0, %r1, 16;
        @%p0 bra.uni LOW;
        LOW:
        st.global.u32 [%rd1], %r1;
    )");
    ASSERT_TRUE(outcome.report.finding);
    EXPECT_EQ(outcome.report.finding->kind, FindingKind::non_convergent);
    EXPECT_EQ(outcome.report.finding->text,
              "a branch that promises to be uniform is taken by lanes 0-15 and not by lanes 16-31");
}

TEST(Warps, TrapsAndBreakpointsAreFindings) {
    for (const std::string instruction : {"trap", "brkpt"}) {
        const Outcome outcome = run_warps(64, "setp.eq.u32 %p0, %r0, 40;\n@%p0 " + instruction + ";\n");
        ASSERT_TRUE(outcome.report.finding);
        EXPECT_EQ(outcome.report.finding->kind, FindingKind::trap);
        EXPECT_EQ(outcome.report.finding->warp, 1);
        EXPECT_EQ(outcome.report.finding->lanes, 1u << 8);
        EXPECT_EQ(outcome.report.finding->instruction, instruction);
    }
}

TEST(Warps, TheClockCountsInstructions) {
    const auto out = run_clean(32, R"(
        mov.u32 %r2, %clock;
        add.u32 %r4, %r0, 1;
        add.u32 %r4, %r4, 1;
        mov.u32 %r3, %clock;
        sub.u32 %r3, %r3, %r2;
        st.global.u32 [%rd1], %r3;
    )");
    EXPECT_EQ(out[0], 3u);
}

TEST(Warps, NanosleepLetsOthersRun) {
    const auto out = run_clean(64, R"(
        .shared .u32 flag;
        setp.eq.u32 %p0, %r0, 0;
        @%p0 st.volatile.shared.u32 [flag], 0;
        bar.sync 0;
        setp.lt.u32 %p0, %r0, 32;
        @!%p0 bra SET;
        SPIN:
        nanosleep.u32 100;
        ld.volatile.shared.u32 %r2, [flag];
        setp.eq.u32 %p1, %r2, 0;
        @%p1 bra SPIN;
        bra DONE;
        SET:
        mov.u32 %r2, 3;
        st.volatile.shared.u32 [flag], %r2;
        DONE:
        st.global.u32 [%rd1], %r2;
    )");
    EXPECT_EQ(out, each_thread(64, [](u32) { return 3u; }));
}

// ---- control flow by chance

// A thread of a program of a few words: out = its registers after it.
struct RandomStep {
    enum { add, mix, branch, back } kind;
    int target = 0;  // of branches: a step
    u32 value = 0;
};

std::vector<RandomStep> random_steps(u32 seed) {
    std::mt19937 random(seed);
    std::vector<RandomStep> steps(12 + random() % 20);
    for (std::size_t i = 0; i < steps.size(); ++i) {
        RandomStep& step = steps[i];
        const u32 what = random() % 8;
        step.kind = what < 2   ? RandomStep::add
                    : what < 4 ? RandomStep::mix
                    : what < 6 ? RandomStep::branch
                               : RandomStep::back;
        step.value = random();
        step.target = step.kind == RandomStep::back ? static_cast<int>(random() % (i + 1))
                                                    : static_cast<int>(i + 1 + random() % (steps.size() - i));
    }
    return steps;
}

// %r2 and %r3 are mixed; a branch goes by a bit of %r2, one backward only while there is fuel in %r4.
std::string random_kernel(const std::vector<RandomStep>& steps) {
    std::string text = "mov.u32 %r2, %r0;\nmov.u32 %r3, 1;\nmov.u32 %r4, 40;\n";
    for (std::size_t i = 0; i < steps.size(); ++i) {
        const RandomStep& step = steps[i];
        text += fmt::format("S{}:\n", i);
        switch (step.kind) {
            case RandomStep::add: text += fmt::format("add.u32 %r2, %r2, {};\n", step.value); break;
            case RandomStep::mix:
                text +=
                    fmt::format("mad.lo.u32 %r3, %r3, {}, %r2;\nxor.b32 %r2, %r2, %r3;\n", step.value | 1);
                break;
            case RandomStep::back:
                text += "setp.eq.u32 %p1, %r4, 0;\n@%p1 bra OUT;\nsub.u32 %r4, %r4, 1;\n";
                [[fallthrough]];
            case RandomStep::branch:
                text += fmt::format("bfe.u32 %r5, %r2, {}, 1;\nsetp.ne.u32 %p0, %r5, 0;\n@%p0 bra S{};\n",
                                    step.value % 32, step.target);
        }
    }
    return text +
           fmt::format("S{}:\nOUT:\nbar.warp.sync -1;\nxor.b32 %r2, %r2, %r3;\nst.global.u32 [%rd1], %r2;\n",
                       steps.size());
}

u32 run_random(const std::vector<RandomStep>& steps, u32 thread) {
    u32 a = thread, b = 1, fuel = 40;
    for (std::size_t i = 0; i < steps.size();) {
        const RandomStep& step = steps[i++];
        switch (step.kind) {
            case RandomStep::add: a += step.value; break;
            case RandomStep::mix:
                b = b * (step.value | 1) + a;
                a ^= b;
                break;
            case RandomStep::back:
                if (fuel-- == 0) return a ^ b;
                [[fallthrough]];
            case RandomStep::branch:
                if (a >> step.value % 32 & 1u) i = static_cast<std::size_t>(step.target);
        }
    }
    return a ^ b;
}

TEST(Warps, EachLaneGoesItsOwnWay) {
    for (u32 seed = 0; seed < 200; ++seed) {
        const std::vector<RandomStep> steps = random_steps(seed);
        EXPECT_EQ(run_clean(50, random_kernel(steps)),
                  each_thread(50, [&](u32 t) { return run_random(steps, t); }))
            << random_kernel(steps);
    }
}

TEST(Warps, ALoopThatReadsTheClockGoesOn) {
    const auto out = run_clean(32, R"(
        mov.u32 %r2, %clock;
        WAIT:  // every register is the same in each round
        mov.u32 %r3, %clock;
        sub.u32 %r3, %r3, %r2;
        setp.lt.u32 %p0, %r3, 100000;
        mov.u32 %r3, 0;
        @%p0 bra WAIT;
        st.global.u32 [%rd1], 1;
    )");
    EXPECT_EQ(out, each_thread(32, [](u32) { return 1u; }));
}

}  // namespace
}  // namespace warpwright::emulator
