// SPDX-License-Identifier: Apache-2.0
// Memory in whole kernels: variables of every state space, blocks that meet in global memory, and findings
// that name what a kernel declares.
#include "run_ptx.h"

namespace warpwright::emulator {
namespace {

LaunchConfig config_of(u32 blocks, u32 threads) {
    LaunchConfig config;
    config.grid.x = blocks;
    config.block.x = threads;
    return config;
}

TEST(MemoryPtx, VariablesOfEverySpaceByNameAndByGenericAddress) {
    RunPtx run(ptx_kernel(".param .u64 out, .param .align 8 .b8 both[8]",
                          R"(
.shared .align 4 .b8 shared_one[128];
.local .align 4 .b8 local_one[16];
.reg .b32 %r<20>; .reg .b64 %d<20>;
mov.u32 %r0, %tid.x;
shl.b32 %r1, %r0, 2;
mov.u32 %r2, shared_one;
add.s32 %r2, %r2, %r1;
st.shared.u32 [%r2], %r0;
ld.shared.u32 %r3, [%r2];

st.local.u32 [local_one+8], %r0;
mov.u64 %d1, local_one;
cvta.local.u64 %d1, %d1;
ld.u32 %r4, [%d1+8];

ld.const.u32 %r5, [table+4];
mov.u64 %d2, table;
cvta.const.u64 %d2, %d2;
ld.u32 %r6, [%d2+8];

ld.param.u32 %r7, [both+4];
mov.b64 %d3, both;
cvta.param.u64 %d3, %d3;
ld.u32 %r8, [%d3];

ld.global.u32 %r9, [counts+4];
mov.u64 %d4, counts;
ld.u32 %r10, [%d4];

cvt.u64.u32 %d5, %r2;
cvta.shared.u64 %d5, %d5;
ld.u32 %r11, [%d5];

add.s32 %r3, %r3, %r4;
add.s32 %r3, %r3, %r5;
add.s32 %r3, %r3, %r6;
add.s32 %r3, %r3, %r7;
add.s32 %r3, %r3, %r8;
add.s32 %r3, %r3, %r9;
add.s32 %r3, %r3, %r10;
add.s32 %r3, %r3, %r11;
ld.param.u64 %d0, [out];
mul.wide.u32 %d6, %r0, 4;
add.s64 %d0, %d0, %d6;
st.global.u32 [%d0], %r3;
)",
                          "sm_90a",
                          ".const .align 4 .b32 table[4] = {1, 20, 300, 4000};\n"
                          ".global .align 4 .b32 counts[2] = {70000, 800000};"));
    const u64 out = run.allocate(128);
    const u64 both = 5'000'000ull | 60'000'000ull << 32;
    const LaunchReport report = run.launch(config_of(1, 32), out, both);
    ASSERT_FALSE(report.finding) << finding_text(*report.finding);
    for (u32 l = 0; l < 32; ++l) EXPECT_EQ(run.get<u32>(out, 32)[l], 3 * l + 65'870'320u) << l;
}

TEST(MemoryPtx, FindingsNameVariablesAndLines) {
    const auto find = [](std::string_view body) {
        RunPtx run(ptx_kernel(".param .u64 out", body, "sm_90a", ".global .align 4 .b8 counts[10];\n"));
        const LaunchReport report = run.launch(config_of(1, 32), u64{0});
        return report.finding ? finding_text(*report.finding) : "";
    };
    const std::string beyond =
        find(".reg .b32 %r0;\n.reg .b64 %d0;\nmov.u64 %d0, counts;\nld.global.u32 %r0, [%d0+8];");
    EXPECT_NE(
        beyond.find("kernel: out of bounds at line 11 (ld.global.u32), block 0,0,0 warp 0 lane 0, address "),
        std::string::npos)
        << beyond;
    EXPECT_NE(
        beyond.find("4 bytes read: 4 bytes at byte 8 of allocation 1 of 10 bytes: 2 past its end, which is "
                    "variable counts"),
        std::string::npos)
        << beyond;
    const std::string null =
        find(".reg .b32 %r0;\n.reg .b64 %d0;\nld.param.u64 %d0, [out];\nst.global.u32 [%d0], 1;");
    EXPECT_NE(null.find("4 bytes written: a null pointer"), std::string::npos) << null;
}

// Sums of all blocks, on several threads of the host.
TEST(MemoryPtx, BlocksAddToOneCounter) {
    for (const CheckLevel level : {CheckLevel::off, CheckLevel::all}) {
        RunPtx run(ptx_kernel(".param .u64 out", R"(
.reg .b32 %r<4>; .reg .b64 %d<4>;
ld.param.u64 %d0, [out];
mov.u32 %r0, %tid.x;
and.b32 %r1, %r0, 3;
mul.wide.u32 %d1, %r1, 4;
add.s64 %d1, %d0, %d1;
red.global.add.u32 [%d1], 1;
atom.add.u64 %d2, [%d0+16], 2;
mov.u32 %r2, %ctaid.x;
red.relaxed.gpu.global.max.u32 [%d0+24], %r2;
)"));
        run.options.level = level;
        run.options.num_threads = 3;
        const u64 out = run.put(std::vector<u32>(8));
        const LaunchReport report = run.launch(config_of(200, 96), out);
        ASSERT_FALSE(report.finding) << finding_text(*report.finding);
        const std::vector<u32> got = run.get<u32>(out, 8);
        EXPECT_EQ(got, (std::vector<u32>{4800, 4800, 4800, 4800, 38'400, 0, 199, 0}));
    }
}

// One block writes and raises a flag, the others wait for it: release and acquire, and plain stores before.
TEST(MemoryPtx, FlagsOrderPlainStores) {
    for (u64 seed = 0; seed < 6; ++seed) {
        RunPtx run(ptx_kernel(".param .u64 data, .param .u64 flag, .param .u64 out", R"(
.reg .b32 %r<10>; .reg .b64 %d<10>; .reg .pred %p<4>;
ld.param.u64 %d0, [data];
ld.param.u64 %d1, [flag];
ld.param.u64 %d2, [out];
mov.u32 %r0, %tid.x;
mov.u32 %r1, %ctaid.x;
mul.wide.u32 %d3, %r0, 4;
add.s64 %d3, %d0, %d3;
setp.ne.u32 %p0, %r1, 2;
@%p0 bra WAIT;
add.s32 %r2, %r0, 100;
st.global.u32 [%d3], %r2;
bar.sync 0;
setp.ne.u32 %p1, %r0, 0;
@%p1 bra DONE;
st.release.gpu.global.u32 [%d1], 1;
bra DONE;
WAIT:
ld.acquire.gpu.global.u32 %r3, [%d1];
setp.eq.u32 %p2, %r3, 0;
@%p2 bra WAIT;
ld.global.u32 %r4, [%d3];
mad.lo.u32 %r5, %r1, 64, %r0;
mul.wide.u32 %d4, %r5, 4;
add.s64 %d4, %d2, %d4;
st.global.u32 [%d4], %r4;
DONE:
)"));
        run.options.seed = seed;
        run.options.num_threads = 2;
        const u64 data = run.allocate(256), flag = run.put(std::vector<u32>(1)),
                  out = run.put(std::vector<u32>(4 * 64));
        const LaunchReport report = run.launch(config_of(4, 64), data, flag, out);
        ASSERT_FALSE(report.finding) << finding_text(*report.finding);
        const std::vector<u32> got = run.get<u32>(out, 4 * 64);
        for (u32 i = 0; i < 4 * 64; ++i) EXPECT_EQ(got[i], i / 64 == 2 ? 0 : 100 + i % 64) << i;
    }
}

// A lock taken by compare-and-swap, by one lane of each warp: what it guards is not atomic.
TEST(MemoryPtx, LocksGuardPlainAccesses) {
    RunPtx run(ptx_kernel(".param .u64 lock, .param .u64 count", R"(
.reg .b32 %r<10>; .reg .b64 %d<4>; .reg .pred %p<4>;
ld.param.u64 %d0, [lock];
ld.param.u64 %d1, [count];
mov.u32 %r0, %laneid;
setp.ne.u32 %p0, %r0, 7;
@%p0 bra DONE;
TAKE:
atom.acquire.gpu.global.cas.b32 %r1, [%d0], 0, 1;
setp.ne.u32 %p1, %r1, 0;
@%p1 bra TAKE;
ld.volatile.global.u32 %r2, [%d1];
add.s32 %r2, %r2, 1;
st.volatile.global.u32 [%d1], %r2;
atom.release.gpu.global.exch.b32 %r3, [%d0], 0;
DONE:
)"));
    run.options.num_threads = 2;
    const u64 lock = run.put(std::vector<u32>(1)), count = run.put(std::vector<u32>(1));
    const LaunchReport report = run.launch(config_of(40, 128), lock, count);
    ASSERT_FALSE(report.finding) << finding_text(*report.finding);
    EXPECT_EQ(run.get<u32>(count, 1)[0], 160u);
    EXPECT_EQ(run.get<u32>(lock, 1)[0], 0u);
}

// Spinning on a flag that nobody raises is no progress, whether by loads, by swaps or by stores of what is
// there already.
TEST(MemoryPtx, WaitingForNobodyIsFound) {
    for (const char* spin : {"ld.volatile.global.u32 %r0, [%d0];", "atom.global.cas.b32 %r0, [%d0], 1, 2;",
                             "atom.global.exch.b32 %r0, [%d0], 0;",
                             "st.global.u32 [%d0+4], 9; ld.relaxed.gpu.global.u32 %r0, [%d0];"}) {
        RunPtx run(ptx_kernel(".param .u64 flag", fmt::format(R"(
.reg .b32 %r<4>; .reg .b64 %d<4>; .reg .pred %p<2>;
ld.param.u64 %d0, [flag];
AGAIN:
{}
setp.eq.u32 %p0, %r0, 0;
@%p0 bra AGAIN;
)",
                                                              spin)));
        run.options.patience = 100'000;
        const u64 flag = run.put(std::vector<u32>{0, 9});
        const LaunchReport report = run.launch(config_of(2, 32), flag);
        ASSERT_TRUE(report.finding) << spin;
        EXPECT_EQ(report.finding->kind, FindingKind::deadlock) << spin;
    }
}

}  // namespace
}  // namespace warpwright::emulator
