// SPDX-License-Identifier: Apache-2.0
// Initial values from the text to where a kernel reads them.
#include <cstring>

#include <gtest/gtest.h>
#include "tests/emulator/run_ptx.h"

namespace warpwright::emulator {
namespace {

TEST(InitialValues, BytesOfAnAddress) {
    RunPtx run(ptx_kernel(".param .u64 out", R"(
        .reg .b64 %rd<4>; .reg .b32 %r<8>;
        ld.param.u64 %rd0, [out];
        mov.u64 %rd1, counter;
        st.global.u64 [%rd0], %rd1;
        ld.global.u64 %rd2, [plain];
        st.global.u64 [%rd0+8], %rd2;
        ld.global.u8 %r0, [packed];
        ld.global.u8 %r1, [packed+1];
        ld.global.u8 %r2, [packed+2];
        ld.global.u8 %r3, [packed+3];
        ld.global.u8 %r4, [packed+8];
        st.global.v4.u32 [%rd0+16], {%r0, %r1, %r2, %r3};
        st.global.u32 [%rd0+32], %r4;
    )",
                          "sm_90a", R"(
.global .align 4 .b32 counter;
.global .align 8 .u64 plain = generic(counter)+8;
.global .align 1 .u8 packed[9] = {7, 0xFF(generic(counter)+8), 0xFF00(generic(counter)+8),
    0xFF0000(generic(counter)+8), 0xFF000000(generic(counter)+8), 0xFF00000000(generic(counter)+8),
    0xFF0000000000(generic(counter)+8), 0xFF000000000000(generic(counter)+8),
    0xFF00000000000000(generic(counter)+8)};
)"));
    ASSERT_EQ(run.load_error(), "");
    const u64 out = run.put(std::vector<u32>(10));
    LaunchConfig config;
    config.block.x = 1;
    const LaunchReport report = run.launch(config, out);
    EXPECT_FALSE(report.finding) << finding_text(*report.finding);
    const u64 counter = run.get<u64>(out, 1)[0];
    EXPECT_NE(counter, 0u);
    EXPECT_EQ(run.get<u64>(out + 8, 1)[0], counter + 8);
    const std::vector<u32> bytes = run.get<u32>(out + 16, 5);
    EXPECT_EQ(bytes[0], 7u);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(bytes[i + 1], (counter + 8) >> 8 * i & 0xff) << i;
    EXPECT_EQ(bytes[4], (counter + 8) >> 56 & 0xff);
}

TEST(InitialValues, ConstantsAndWhatIsLeftOut) {
    RunPtx run(ptx_kernel(".param .u64 out", R"(
        .reg .b64 %rd<2>; .reg .b32 %r<5>;
        ld.param.u64 %rd0, [out];
        ld.const.v4.u32 {%r0, %r1, %r2, %r3}, [table];
        st.global.v4.u32 [%rd0], {%r0, %r1, %r2, %r3};
        ld.global.u32 %r4, [zero];
        st.global.u32 [%rd0+16], %r4;
    )",
                          "sm_90a", R"(
.const .align 16 .b32 table[2][2] = {{1}, {-1, 0f3F800000}};
.global .b32 zero;
)"));
    ASSERT_EQ(run.load_error(), "");
    const u64 out = run.put(std::vector<u32>(8, 9));
    LaunchConfig config;
    config.block.x = 1;
    const LaunchReport report = run.launch(config, out);
    EXPECT_FALSE(report.finding) << finding_text(*report.finding);
    EXPECT_EQ(run.get<u32>(out, 5), (std::vector<u32>{1, 0, ~0u, 0x3f800000, 0}));
}

}  // namespace
}  // namespace warpwright::emulator
