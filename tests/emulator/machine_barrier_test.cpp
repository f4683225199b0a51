// SPDX-License-Identifier: Apache-2.0
// Barriers of a block and of a warp.
#include <gtest/gtest.h>

#include "machine_kernels.h"

namespace warpwright::emulator {
namespace {

TEST(Barriers, SharedMemoryIsExchangedAcrossWarps) {
    EXPECT_EQ(run_clean(256, R"(
        .shared .u32 box[256];
        mov.u32 %r3, box;
        mad.lo.u32 %r4, %r0, 4, %r3;
        mul.lo.u32 %r5, %r0, 3;
        st.shared.u32 [%r4], %r5;
        bar.sync 0;
        xor.b32 %r6, %r0, 255;
        mad.lo.u32 %r6, %r6, 4, %r3;
        ld.shared.u32 %r7, [%r6];
        st.global.u32 [%rd1], %r7;
    )"),
              each_thread(256, [](u32 t) { return 3 * (t ^ 255); }));
}

TEST(Barriers, WarpsThatHaveExitedDoNotCount) {
    EXPECT_EQ(run_clean(160, R"(
        setp.ge.u32 %p0, %r0, 64;
        @%p0 exit;
        bar.sync 0;
        bar.sync 0;
        st.global.u32 [%rd1], 5;
    )"),
              each_thread(160, [](u32 t) { return t < 64 ? 5u : 0u; }));
}

TEST(Barriers, WarpsThatExitWhileOthersWaitDoNotCount) {
    LaunchOptions options;
    for (options.seed = 0; options.seed < 8; ++options.seed) {
        const Outcome outcome = run_warps(96, R"(
            setp.ge.u32 %p0, %r0, 32;
            @%p0 bra LATE;
            bar.sync 3;
            st.global.u32 [%rd1], 5;
            exit;
            LATE:
            mov.u32 %r2, 0;
            LOOP:
            add.u32 %r2, %r2, 1;
            setp.lt.u32 %p1, %r2, 9000;
            @%p1 bra LOOP;
        )",
                                          options);
        EXPECT_FALSE(outcome.report.finding);
        EXPECT_EQ(outcome.out, each_thread(96, [](u32 t) { return t < 32 ? 5u : 0u; }));
    }
}

// The pattern of warp-specialised kernels: the producer syncs on `empty` and arrives on `full`.
TEST(Barriers, ProducerAndConsumerWithNamedBarriers) {
    LaunchOptions options;
    for (options.seed = 0; options.seed < 8; ++options.seed) {
        const Outcome outcome = run_warps(64, R"(
            .shared .u32 box[32];
            mov.u32 %r3, box;
            mad.lo.u32 %r4, %r1, 4, %r3;
            mov.u32 %r5, 0;   // round
            mov.u32 %r6, 0;   // sum
            mov.u32 %r9, 2;   // barrier `full`, in a register
            mov.u32 %r10, 64;
            setp.lt.u32 %p0, %r0, 32;
            @%p0 bra PRODUCE;
            CONSUME:
            bar.arrive 1, 64;
            bar.sync %r9, %r10;
            ld.shared.u32 %r7, [%r4];
            add.u32 %r6, %r6, %r7;
            add.u32 %r5, %r5, 1;
            setp.lt.u32 %p1, %r5, 20;
            @%p1 bra CONSUME;
            st.global.u32 [%rd1], %r6;
            exit;
            PRODUCE:
            bar.sync 1, 64;
            mad.lo.u32 %r8, %r5, %r5, %r1;
            st.shared.u32 [%r4], %r8;
            bar.arrive %r9, %r10;
            add.u32 %r5, %r5, 1;
            setp.lt.u32 %p1, %r5, 20;
            @%p1 bra PRODUCE;
        )",
                                          options);
        EXPECT_FALSE(outcome.report.finding) << finding_text(*outcome.report.finding);
        EXPECT_EQ(outcome.out,
                  each_thread(64, [](u32 t) { return t < 32 ? 0 : 19 * 20 * 39 / 6 + 20 * (t - 32); }));
    }
}

TEST(Barriers, Reductions) {
    const auto out = run_clean(96, R"(
        setp.lt.u32 %p0, %r0, 50;
        bar.red.popc.u32 %r2, 0, %p0;
        bar.red.popc.u32 %r3, 1, 96, !%p0;
        bar.red.and.pred %p1, 0, %p0;
        bar.red.or.pred %p2, 0, %p0;
        setp.lt.u32 %p3, %r0, 96;
        barrier.cta.red.and.pred %p4, 15, %p3;
        barrier.red.or.aligned.pred %p5, 7, !%p3;
        selp.u32 %r4, 1, 0, %p1;
        selp.u32 %r5, 2, 0, %p2;
        selp.u32 %r6, 4, 0, %p4;
        selp.u32 %r7, 8, 0, %p5;
        or.b32 %r4, %r4, %r5;
        or.b32 %r6, %r6, %r7;
        or.b32 %r4, %r4, %r6;
        shl.b32 %r2, %r2, 16;
        shl.b32 %r3, %r3, 8;
        or.b32 %r2, %r2, %r3;
        or.b32 %r2, %r2, %r4;
        st.global.u32 [%rd1], %r2;
    )");
    EXPECT_EQ(out, each_thread(96, [](u32) { return 50u << 16 | 46u << 8 | 2u | 4u; }));
}

TEST(Barriers, AReductionCountsTheLanesThatAreThere) {
    EXPECT_EQ(run_clean(80, R"(
        setp.eq.u32 %p0, %r1, 3;
        @%p0 exit;
        setp.ge.u32 %p0, %r0, 0;
        bar.red.popc.u32 %r2, 0, %p0;
        st.global.u32 [%rd1], %r2;
    )"),
              each_thread(80, [](u32 t) { return t % 32 == 3 ? 0 : 77u; }));
}

// Without .aligned, lanes of a warp may arrive at different instructions; the warp has arrived when all have.
TEST(Barriers, LanesArriveAtDifferentInstructions) {
    EXPECT_EQ(run_clean(64, R"(
        .shared .u32 box[64];
        mov.u32 %r3, box;
        mad.lo.u32 %r4, %r0, 4, %r3;
        st.shared.u32 [%r4], %r0;
        and.b32 %r2, %r1, 1;
        setp.eq.u32 %p0, %r2, 0;
        @%p0 bra EVEN;
        barrier.sync 4;
        bra MEET;
        EVEN:
        barrier.cta.sync 4, 64;
        MEET:
        xor.b32 %r6, %r0, 63;
        mad.lo.u32 %r6, %r6, 4, %r3;
        ld.shared.u32 %r7, [%r6];
        st.global.u32 [%rd1], %r7;
    )"),
              each_thread(64, [](u32 t) { return t ^ 63; }));
}

TEST(Barriers, OfAWarpAtDifferentInstructionsAndWithMasksOfTheirOwn) {
    EXPECT_EQ(run_clean(32, R"(
        .shared .u32 box[32];
        mov.u32 %r3, box;
        mad.lo.u32 %r4, %r1, 4, %r3;
        and.b32 %r2, %r1, 3;
        mov.u32 %r5, 0x11111111;
        shl.b32 %r5, %r5, %r2;      // the lanes of the same remainder
        setp.lt.u32 %p0, %r1, 16;
        @%p0 bra LOW;
        st.volatile.shared.u32 [%r4], %r1;
        bar.warp.sync %r5;
        bra MEET;
        LOW:
        bar.warp.sync %r5;
        MEET:
        or.b32 %r6, %r1, 16;
        mad.lo.u32 %r6, %r6, 4, %r3;
        ld.volatile.shared.u32 %r7, [%r6];
        st.global.u32 [%rd1], %r7;
    )"),
              each_thread(32, [](u32 t) { return t | 16; }));
}

// ---- what is wrong

Finding finding_of(u32 threads, const std::string& body) {
    const Outcome outcome = run_warps(threads, body);
    EXPECT_TRUE(outcome.report.finding);
    return outcome.report.finding.value_or(Finding{});
}

TEST(Barriers, OnBothSidesOfABranchDiverge) {
    const Finding finding = finding_of(64, R"(
        setp.lt.u32 %p0, %r1, 8;
        @%p0 bra LOW;
        bar.sync 0;
        bra MEET;
        LOW:
        bar.sync 0;
        MEET:
    )");
    EXPECT_EQ(finding.kind, FindingKind::divergent_barrier);
    EXPECT_EQ(finding.lanes, 0xffff'ff00u);
    EXPECT_EQ(finding.text, "lanes 8-31 cannot go on without lanes 0-7: lanes 0-7 at line 22 (bar.sync)");
}

TEST(Barriers, UnderAGuardThatDiffersDiverge) {
    const Finding finding = finding_of(64, R"(
        setp.lt.u32 %p0, %r1, 8;
        @%p0 bar.sync 0;
    )");
    EXPECT_EQ(finding.kind, FindingKind::divergent_barrier);
    EXPECT_EQ(finding.lanes, 0xffff'ff00u);
    EXPECT_EQ(
        finding.text,
        "all lanes of the warp must execute it together, but the guard is false in lanes 8-31 and true in "
        "lanes 0-7");
}

TEST(Barriers, OfAWarpWithoutALaneOfTheMask) {
    const Finding finding = finding_of(32, R"(
        setp.eq.u32 %p0, %r1, 9;
        @%p0 bra OTHER;
        bar.warp.sync -1;
        bra MEET;
        OTHER:
        shfl.sync.bfly.b32 %r2, %r0, 1, 0x1f, -1;
        MEET:
    )");
    EXPECT_EQ(finding.kind, FindingKind::non_convergent);
    EXPECT_EQ(finding.text,
              "lanes 0-8,10-31 cannot go on without lane 9: lane 9 at line 22 (shfl.sync.bfly.b32)");
}

TEST(Barriers, OfAWarpByALaneThatIsNotInTheMask) {
    const Finding finding = finding_of(32, "bar.warp.sync 0xfffffffe;");
    EXPECT_EQ(finding.kind, FindingKind::bad_operand);
    EXPECT_EQ(finding.lanes, 1u);
}

TEST(Barriers, NumbersAndCountsThatMustNotBe) {
    const auto text = [](const char* body) { return finding_of(96, body).text; };
    EXPECT_EQ(text("mov.u32 %r2, 16;\nbar.sync %r2;"), "barrier 16, expected 0 to 15");
    EXPECT_EQ(text("bar.sync %r1;"), "the barrier's number is not the same in all lanes");
    EXPECT_EQ(text("mov.u32 %r2, 48;\nbar.sync 1, %r2;"),
              "barrier 1 for 48 threads, expected a multiple of 32 above 0");
    EXPECT_EQ(text("mov.u32 %r2, 0;\nbar.arrive 1, %r2;"),
              "barrier 1 for 0 threads, expected a multiple of 32 above 0");
    EXPECT_EQ(text("bar.sync 1, 128;"), "barrier 1 for 128 threads, which a block of 96 cannot complete");
    EXPECT_EQ(text("setp.lt.u32 %p0, %r0, 32;\n@%p0 bra A;\nbar.sync 1, 64;\nbra B;\nA:\nbar.sync 1;\nB:"),
              "barrier 1 for 64 threads, but others arrived there for 96");
    EXPECT_EQ(text("setp.lt.u32 %p0, %r0, 32;\n@%p0 bra A;\nbar.red.popc.u32 %r2, 1, %p0;\nbra B;\nA:\n"
                   "bar.sync 1;\nB:"),
              "barrier 1 for a count, but others arrived there for a synchronisation");
}

TEST(Barriers, ADeadlockTellsWhoIsMissing) {
    const Finding finding = finding_of(96, R"(
        setp.lt.u32 %p0, %r0, 64;
        @%p0 bra LOW;
        bar.sync 2, 96;
        exit;
        LOW:
        bar.sync 1, 96;
    )");
    EXPECT_EQ(finding.kind, FindingKind::deadlock);
    EXPECT_EQ(
        finding.text,
        "no warp of the block can go on\n"
        "  block 0,0,0 warps 0-1 lanes 0-31 at line 22 (bar.sync): wait at barrier 1, where 64 of 96 threads "
        "have arrived: warp 2 not\n"
        "  block 0,0,0 warp 2 lanes 0-31 at line 19 (bar.sync): wait at barrier 2, where 32 of 96 threads "
        "have arrived: warps 0-1 not");
}

TEST(Barriers, LanesOfAWarpThatWaitAtTwoBarriersHang) {
    const Finding finding = finding_of(32, R"(
        setp.lt.u32 %p0, %r1, 4;
        @%p0 bra LOW;
        barrier.sync 2;
        exit;
        LOW:
        barrier.sync 1;
    )");
    EXPECT_EQ(finding.kind, FindingKind::deadlock);
    EXPECT_EQ(finding.text,
              "no warp of the block can go on\n"
              "  block 0,0,0 warp 0 lanes 4-31 at line 19 (barrier.sync): wait at barrier 2, where 0 of 32 "
              "threads have arrived, for lanes 0-3 of its own warp: warp 0 not\n"
              "  block 0,0,0 warp 0 lanes 0-3 at line 22 (barrier.sync): wait at barrier 1, where 0 of 32 "
              "threads have arrived, for lanes 4-31 of its own warp: warp 0 not");
}

TEST(Barriers, FormsThatAreNotCovered) {
    const auto error = [](const char* body) {
        return RunPtx(ptx_kernel("", std::string(".reg .pred %p;\n.reg .b32 %r;\n") + body)).load_error();
    };
    EXPECT_EQ(error("bar.sync;"), "line 9: bar.sync: operand 1 is missing");
    EXPECT_EQ(error("bar.arrive 1;"), "line 9: bar.arrive: expected the number of threads");
    EXPECT_EQ(error("bar.red.popc.pred %r, 1, %p;"),
              "line 9: bar.red.popc.pred: expected .popc.u32, .and.pred or .or.pred");
}

}  // namespace
}  // namespace warpwright::emulator
