// SPDX-License-Identifier: Apache-2.0
// Grids: blocks that wait for each other, seeds, threads, hangs.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "emulator/machine/scheduler.h"
#include "machine_kernels.h"

namespace warpwright::emulator {
namespace {

// %r0: thread, %r2: block, %rd1: &out[block].
constexpr const char* kBlockStart = R"(
    .reg .pred %p<8>;
    .reg .b32 %r<32>;
    .reg .b64 %rd<16>;
    ld.param.u64 %rd0, [out];
    mov.u32 %r0, %tid.x;
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %nctaid.x;
    mul.wide.u32 %rd1, %r2, 4;
    add.s64 %rd1, %rd0, %rd1;
)";

struct GridRun {
    u32 blocks = 1, threads = 32;
    LaunchOptions options;
    std::string target = "h100-sxm", ptx_target = "sm_80";
    ImageResources resources;
};

// `words` words of out, zero at first; the words behind those of the blocks are the kernel's to use.
Outcome run_blocks(const GridRun& grid, const std::string& body, std::size_t words) {
    RunPtx run(ptx_kernel(".param .u64 out", kBlockStart + body, grid.ptx_target), grid.target);
    EXPECT_EQ(run.load_error(), "");
    run.options = grid.options;
    run.resources = grid.resources;
    const u64 out = run.put(std::vector<u32>(words, 0));
    Outcome outcome;
    outcome.report = run.launch({.grid = {grid.blocks}, .block = {grid.threads}}, out);
    outcome.out = run.get<u32>(out, words);
    return outcome;
}

TEST(BlockOrder, IsAPermutation) {
    for (const u64 count : {1, 2, 3, 7, 64, 65, 1000}) {
        for (const u64 seed : {0, 1, 2, 99}) {
            const BlockOrder order(count, seed);
            std::set<u64> seen;
            for (u64 i = 0; i < count; ++i) seen.insert(order.at(i));
            EXPECT_EQ(seen.size(), count) << count << " seed " << seed;
            EXPECT_EQ(*seen.rbegin(), count - 1);
        }
    }
    const BlockOrder large(u64{1} << 62, 5);
    EXPECT_LT(large.at(12345), u64{1} << 62);
    EXPECT_NE(large.at(0), large.at(1));
}

// Each block waits for the next one: in order, all of them must be open at once.
constexpr const char* kChain = R"(
    add.u32 %r4, %r2, 1;
    setp.eq.u32 %p0, %r4, %r3;
    @%p0 bra LAST;
    WAIT:
    ld.acquire.gpu.global.u32 %r5, [%rd1+4];
    setp.eq.u32 %p1, %r5, 0;
    @%p1 bra WAIT;
    add.u32 %r5, %r5, 1;
    bra STORE;
    LAST:
    mov.u32 %r5, 1;
    STORE:
    st.release.gpu.global.u32 [%rd1], %r5;
)";

TEST(Grids, BlocksWaitForLaterBlocks) {
    GridRun grid{.blocks = 100};
    for (const int threads : {1, 3}) {
        for (const u64 seed : {0, 1, 2}) {
            grid.options = {.seed = seed, .num_threads = threads};
            const Outcome outcome = run_blocks(grid, kChain, 100);
            EXPECT_FALSE(outcome.report.finding) << finding_text(*outcome.report.finding);
            EXPECT_EQ(outcome.out, each_thread(100, [](u32 b) { return 100 - b; }));
        }
    }
}

// A barrier of the whole grid, twice.
constexpr const char* kGridBarrier = R"(
    mul.wide.u32 %rd3, %r3, 4;
    add.s64 %rd2, %rd0, %rd3;  // a counter behind the words of the blocks
    mov.u32 %r8, 0;
    AGAIN:
    bar.sync 0;
    setp.ne.u32 %p0, %r0, 0;
    @%p0 bra DONE;
    add.u32 %r8, %r8, %r3;
    atom.acq_rel.gpu.global.add.u32 %r4, [%rd2], 1;
    WAIT:
    ld.acquire.gpu.global.u32 %r5, [%rd2];
    setp.lt.u32 %p1, %r5, %r8;
    @%p1 bra WAIT;
    DONE:
    bar.sync 0;
    add.u32 %r6, %r6, 1;
    setp.lt.u32 %p2, %r6, 2;
    @%p2 bra AGAIN;
    @!%p0 st.global.u32 [%rd1], %r8;
)";

TEST(Grids, ABarrierOfAllBlocksThatFitAtOnce) {
    // 20 SMs, each with room for one block of 1024 threads.
    GridRun grid{.blocks = 20, .threads = 1024, .target = "jetson-thor"};
    for (const int threads : {1, 2}) {
        grid.options.num_threads = threads;
        const Outcome outcome = run_blocks(grid, std::string("mov.u32 %r6, 0;") + kGridBarrier, 21);
        EXPECT_FALSE(outcome.report.finding) << finding_text(*outcome.report.finding);
        EXPECT_EQ(outcome.out, std::vector<u32>(21, 40));
    }
}

TEST(Grids, ABarrierOfMoreBlocksThanFitIsAHang) {
    GridRun grid{.blocks = 21, .threads = 1024, .target = "jetson-thor"};
    grid.options.num_threads = 1;
    const Outcome outcome = run_blocks(grid, std::string("mov.u32 %r6, 0;") + kGridBarrier, 22);
    ASSERT_TRUE(outcome.report.finding);
    EXPECT_EQ(outcome.report.finding->kind, FindingKind::deadlock);
    const std::string& text = outcome.report.finding->text;
    EXPECT_EQ(text.substr(0, text.find('\n')),
              "no warp of the grid can go on (1 of 21 blocks have not started: the target holds 20 at once)");
    const std::size_t second = text.find('\n', text.find('\n') + 1);
    EXPECT_EQ(
        text.substr(second, text.find("\n  block 1,0,0") - second),
        "\n  block 0,0,0 warp 0 lanes 1-31 at line 32 (bar.sync): wait for lane 0"
        "\n  block 0,0,0 warps 1-31 lanes 0-31 at line 32 (bar.sync): wait at barrier 0, where 992 of 1024 "
        "threads have arrived: warp 0 not");
    EXPECT_NE(text.find("\n  block 0,0,0 warp 0 lane 0 go round between line 28 (ld.acquire.gpu.global.u32) "
                        "and line 30 (bra), and nothing "
                        "changes\n"),
              std::string::npos)
        << text;
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3 * 20);
    EXPECT_LT(text.size(), 16'000u);
    EXPECT_LT(outcome.report.warp_instructions, 20'000'000u);
}

// The order in which blocks come, by a counter that each takes a number from.
std::vector<u32> order_of(u64 seed) {
    GridRun grid{.blocks = 40};
    grid.options = {.seed = seed, .num_threads = 1};
    const Outcome outcome = run_blocks(grid, R"(
        setp.ne.u32 %p0, %r0, 0;
        @%p0 exit;
        mul.wide.u32 %rd3, %r3, 4;
        add.s64 %rd2, %rd0, %rd3;
        atom.global.add.u32 %r4, [%rd2], 1;
        st.global.u32 [%rd1], %r4;
    )",
                                       41);
    EXPECT_FALSE(outcome.report.finding);
    return {outcome.out.begin(), outcome.out.end() - 1};
}

TEST(Grids, SeedsChangeTheOrderOfBlocksReproducibly) {
    const std::vector<u32> in_order = each_thread(40, [](u32 b) { return b; });
    EXPECT_EQ(order_of(0), in_order);
    for (const u64 seed : {1, 2}) {
        std::vector<u32> order = order_of(seed);
        EXPECT_EQ(order_of(seed), order);
        EXPECT_NE(order, in_order);
        std::sort(order.begin(), order.end());
        EXPECT_EQ(order, in_order);
    }
    EXPECT_NE(order_of(1), order_of(2));
}

// The order in which the warps of a block take a number.
std::vector<u32> warp_order_of(u64 seed) {
    LaunchOptions options;
    options.seed = seed;
    const Outcome outcome = run_warps(512, R"(
        .shared .u32 count;
        setp.eq.u32 %p0, %r0, 0;
        @%p0 st.shared.u32 [count], 0;
        bar.sync 0;
        setp.ne.u32 %p1, %r1, 0;
        @%p1 exit;
        atom.shared.add.u32 %r2, [count], 1;
        st.global.u32 [%rd1], %r2;
    )",
                                      options);
    EXPECT_FALSE(outcome.report.finding);
    std::vector<u32> order;
    for (u32 w = 0; w < 16; ++w) order.push_back(outcome.out[w * 32]);
    return order;
}

TEST(Grids, SeedsChangeTheOrderOfWarpsReproducibly) {
    const std::vector<u32> first = warp_order_of(1);
    EXPECT_EQ(warp_order_of(1), first);
    EXPECT_NE(warp_order_of(2), first);
    std::vector<u32> sorted = first;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(sorted, each_thread(16, [](u32 w) { return w; }));
}

TEST(Grids, ThreeDimensionsEachBlockOnce) {
    RunPtx run(ptx_kernel(".param .u64 out", R"(
        .reg .b32 %r<16>;
        .reg .b64 %rd<4>;
        ld.param.u64 %rd0, [out];
        mov.u32 %r0, %ctaid.x;
        mov.u32 %r1, %ctaid.y;
        mov.u32 %r2, %ctaid.z;
        mov.u32 %r3, %nctaid.x;
        mov.u32 %r4, %nctaid.y;
        mad.lo.u32 %r5, %r2, %r4, %r1;
        mad.lo.u32 %r5, %r5, %r3, %r0;
        mul.wide.u32 %rd1, %r5, 4;
        add.s64 %rd1, %rd0, %rd1;
        red.global.add.u32 [%rd1], 1;
    )"));
    for (const int threads : {1, 4}) {
        for (const u64 seed : {0, 7}) {
            run.options = {.seed = seed, .num_threads = threads};
            const u64 out = run.put(std::vector<u32>(3 * 5 * 7, 0));
            const LaunchReport report = run.launch({.grid = {3, 5, 7}, .block = {32}}, out);
            EXPECT_FALSE(report.finding);
            EXPECT_EQ(run.get<u32>(out, 3 * 5 * 7), std::vector<u32>(3 * 5 * 7, 32));
        }
    }
}

TEST(Grids, ManyBlocksOnSeveralThreads) {
    GridRun grid{.blocks = 3000, .threads = 64};
    grid.options.num_threads = 4;
    const Outcome outcome = run_blocks(grid, R"(
        mov.u32 %r4, 0;
        LOOP:
        add.u32 %r4, %r4, 1;
        setp.lt.u32 %p0, %r4, 50;
        @%p0 bra LOOP;
        bar.sync 0;
        red.global.add.u32 [%rd1], %r4;
    )",
                                       3000);
    EXPECT_FALSE(outcome.report.finding);
    EXPECT_EQ(outcome.out, std::vector<u32>(3000, 64 * 50));
    EXPECT_EQ(outcome.report.warp_instructions, 3000u * 2 * (6 + 1 + 3 * 50 + 3));
}

TEST(Grids, AFindingOfAnyBlockEndsTheLaunch) {
    GridRun grid{.blocks = 2000};
    grid.options.num_threads = 4;
    const Outcome outcome = run_blocks(grid, R"(
        setp.eq.u32 %p0, %r2, 700;
        @%p0 trap;
        st.global.u32 [%rd1], 1;
    )",
                                       2000);
    ASSERT_TRUE(outcome.report.finding);
    EXPECT_EQ(outcome.report.finding->kind, FindingKind::trap);
    EXPECT_EQ(outcome.report.finding->block[0], 700u);
    EXPECT_EQ(outcome.out[0], 1u);
    EXPECT_EQ(outcome.out[700], 0u);
}

TEST(Grids, HangsOnSeveralThreadsAreFoundToo) {
    // Each block waits for a word that nobody writes.
    GridRun grid{.blocks = 50};
    grid.options.num_threads = 3;
    const Outcome outcome = run_blocks(grid, R"(
        WAIT:
        nanosleep.u32 20;
        ld.volatile.global.u32 %r5, [%rd1];
        setp.eq.u32 %p1, %r5, 0;
        @%p1 bra WAIT;
    )",
                                       50);
    ASSERT_TRUE(outcome.report.finding);
    EXPECT_EQ(outcome.report.finding->kind, FindingKind::deadlock);
    EXPECT_EQ(outcome.report.finding->text.substr(0, 30), "no warp of the grid can go on\n");
}

TEST(Grids, ALoopThatCountsItsRoundsRunsOutOfPatience) {
    GridRun grid;
    grid.options.patience = 100'000;
    const Outcome outcome = run_blocks(grid, R"(
        mov.u32 %r4, 0;
        WAIT:
        add.u32 %r4, %r4, 1;
        ld.volatile.global.u32 %r5, [%rd1];
        setp.eq.u32 %p1, %r5, 0;
        @%p1 bra WAIT;
    )",
                                       1);
    ASSERT_TRUE(outcome.report.finding);
    EXPECT_EQ(outcome.report.finding->kind, FindingKind::deadlock);
    EXPECT_NE(
        outcome.report.finding->text.find("warp instructions have changed nothing that other warps can see"),
        std::string::npos);
    EXPECT_LT(outcome.report.warp_instructions, 300'000u);
}

TEST(Grids, ALaunchMayBeLimitedInInstructions) {
    GridRun grid;
    grid.options.max_instructions = 100'000;
    const Outcome outcome = run_blocks(grid, R"(
        mov.u32 %r4, 0;
        FOREVER:
        add.u32 %r4, %r4, 1;
        st.global.u32 [%rd1], %r4;
        bra FOREVER;
    )",
                                       1);
    ASSERT_TRUE(outcome.report.finding);
    EXPECT_EQ(outcome.report.finding->kind, FindingKind::deadlock);
    EXPECT_EQ(outcome.report.finding->text.substr(0, outcome.report.finding->text.find('\n')),
              "given up after 100000 warp instructions, the limit of this launch");
    EXPECT_LT(outcome.report.warp_instructions, 300'000u);
}

TEST(Grids, AnEndlessLoopWithoutAnyMemoryIsAHang) {
    GridRun grid;
    const Outcome outcome = run_blocks(grid, "FOREVER:\nbra FOREVER;\n", 1);
    ASSERT_TRUE(outcome.report.finding);
    EXPECT_EQ(outcome.report.finding->text,
              "no warp of the grid can go on\n"
              "  block 0,0,0 warp 0 lanes 0-31 at line 18 (bra): go round, and nothing changes");
    EXPECT_LT(outcome.report.warp_instructions, 100'000u);
}

}  // namespace
}  // namespace warpwright::emulator
