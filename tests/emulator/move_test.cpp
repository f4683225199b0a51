// SPDX-License-Identifier: Apache-2.0
// Moves, vectors of registers, addresses.
#include "emulator/memory/windows.h"
#include "tests/emulator/elementwise.h"

namespace warpwright::emulator {
namespace {

const std::vector<u64> kWords = {0x0123456789abcdefull, ~0ull, 0, 0x8000000000000001ull};

TEST(EmulatedMove, RegistersAndConstants) {
    const auto [a] = operands_of<u64, 1>(kWords);
    for (const std::string type : {"b64", "u64", "s64", "f64"})
        expect_elementwise<u64>(
            "mov." + type + " %d, %a;", [](u64 x) { return x; }, a);
    const std::vector<u32> b(a.begin(), a.end());
    for (const std::string type : {"b32", "u32", "s32", "f32"})
        expect_elementwise<u32>(
            "mov." + type + " %d, %a;", [](u32 x) { return x; }, b);
    const std::vector<u16> c(a.begin(), a.end());
    for (const std::string type : {"b16", "u16", "s16"})
        expect_elementwise<u16>(
            "mov." + type + " %d, %a;", [](u16 x) { return x; }, c);
    expect_elementwise<u32>(
        "mov.u32 %d, -5;", [](u32) { return 0xfffffffbu; }, b);
    expect_elementwise<u32>(
        "mov.f32 %d, 0f3FC00000;", [](u32) { return 0x3fc00000u; }, b);
    expect_elementwise<u64>(
        "mov.f64 %d, 0d3FF8000000000000;", [](u32) { return 0x3ff8000000000000ull; }, b);
    expect_elementwise<u16>(
        "mov.u16 %d, 65535;", [](u32) { return u16{65535}; }, b);
    expect_elementwise<u32>(
        "mov.u32 %d, WARP_SZ;", [](u32) { return 32u; }, b);
    const std::vector<u32> lanes = elementwise<u32>("mov.u32 %d, %laneid;", b);
    const std::vector<u16> lanes16 = elementwise<u16>("mov.u16 %d, %laneid;", b);
    const std::vector<u64> lanes64 = elementwise<u64>("mov.u64 %d, %laneid;", b);
    for (std::size_t i = 0; i < lanes.size(); ++i) {
        EXPECT_EQ(lanes[i], i % 32);
        EXPECT_EQ(lanes16[i], i % 32);
        EXPECT_EQ(lanes64[i], i % 32);
    }
}

TEST(EmulatedMove, VectorsAreFromTheLowestBitsUp) {
    const auto [a] = operands_of<u64, 1>(kWords);
    expect_elementwise<u64>(
        "mov.b64 {%x0, %x1}, %a; mov.b64 %d, {%x1, %x0};", [](u64 x) { return x << 32 | x >> 32; }, a);
    expect_elementwise<u32>(
        "mov.b64 {_, %d}, %a;", [](u64 x) { return static_cast<u32>(x >> 32); }, a);
    expect_elementwise<u32>(
        "mov.b64 {%d, _}, %a;", [](u64 x) { return static_cast<u32>(x); }, a);
    expect_elementwise<u64>(
        "mov.b64 {%h0, %h1, %h2, %h3}, %a; mov.b64 %d, {%h3, %h0, %h1, %h2};",
        [](u64 x) { return x << 16 | x >> 48; }, a);
    const std::vector<u32> b(a.begin(), a.end());
    expect_elementwise<u32>(
        "mov.b32 {%h0, %h1}, %a; mov.b32 %d, {%h1, %h0};", [](u32 x) { return x << 16 | x >> 16; }, b);
    expect_elementwise<u32>(
        ".reg .b8 %c<4>; mov.b32 {%c0, %c1, %c2, %c3}, %a; mov.b32 %d, {%c1, %c2, %c3, %c0};",
        [](u32 x) { return x >> 8 | x << 24; }, b);
    expect_elementwise<u64>(
        "mov.b64 %d, {%a, 7};", [](u32 x) { return x | 7ull << 32; }, b);
    const std::vector<u16> c(a.begin(), a.end());
    expect_elementwise<u16>(
        ".reg .b8 %c<2>; mov.b16 {%c0, %c1}, %a; mov.b16 %d, {%c1, %c0};",
        [](u16 x) { return static_cast<u16>(x << 8 | x >> 8); }, c);
    // The pieces' upper bits are nobody's: those of a wider register must not show.
    expect_elementwise<u32>(
        "cvt.u16.u32 %h0, %a; not.b16 %h0, %h0; mov.b32 %d, {%h0, %h0};",
        [](u32 x) { return (~x & 0xffffu) * 0x10001u; }, b);
    const auto [e, f] = operands_of<u64, 2>(kWords);
    expect_elementwise<u64>(
        ".reg .b128 %v<2>; mov.b128 %v0, {%a, %b}; mov.b128 %v1, %v0; mov.b128 {%y0, %y1}, %v1;"
        "sub.u64 %d, %y1, %y0;",
        [](u64 x, u64 y) { return y - x; }, e, f);
    expect_elementwise<u32>(
        ".reg .b128 %v<2>; mov.b128 %v0, {%a, %b}; mov.b128 {_, %x1, %x2, _}, %v0; xor.b32 %d, %x1, %x2;",
        [](u64 x, u64 y) { return static_cast<u32>(x >> 32) ^ static_cast<u32>(y); }, e, f);
}

// A destination that has the source's register.
TEST(EmulatedMove, VectorsMayOverlapTheirSource) {
    const auto [a] = operands_of<u64, 1>(kWords);
    expect_elementwise<u64>(
        "mov.b64 %y0, %a; mov.b64 {%x0, %x1}, %y0; mov.b64 %y0, {%x1, %x0};"
        "mov.b64 {%x1, %x0}, %y0; mov.b64 %d, {%x0, %x1};",
        [](u64 x) { return x; }, a);
}

TEST(EmulatedMove, AddressesOfEverySpace) {
    const std::string text = ptx_kernel(".param .u64 out, .param .u64 other", R"(
        .reg .b64 %rd<12>;  .reg .pred %p<8>;  .reg .b32 %r<8>;
        .shared .align 8 .b8 tile[64];
        .local .align 8 .b8 depot[16];
        ld.param.u64 %rd0, [out];
        cvta.to.global.u64 %rd1, %rd0;
        mov.u64 %rd2, tile;
        cvta.shared.u64 %rd3, %rd2;
        st.global.u64 [%rd1], %rd3;
        cvta.to.shared.u64 %rd4, %rd3;
        sub.s64 %rd4, %rd4, %rd2;
        st.global.u64 [%rd1+8], %rd4;
        mov.b64 %rd5, other;
        cvta.param.u64 %rd6, %rd5;
        ld.u64 %rd7, [%rd6];
        st.global.u64 [%rd1+16], %rd7;
        mov.u64 %rd8, depot;
        cvta.local.u64 %rd9, %rd8;
        st.u64 [%rd9], %rd7;
        ld.local.u64 %rd10, [depot];
        st.global.u64 [%rd1+24], %rd10;
        mov.u64 %rd8, numbers;
        cvta.const.u64 %rd11, %rd8;
        ld.u64 %rd10, [%rd11+8];
        st.global.u64 [%rd1+32], %rd10;
        isspacep.global %p0, %rd1;  isspacep.shared %p1, %rd3;  isspacep.param %p2, %rd6;
        isspacep.local %p3, %rd9;   isspacep.const %p4, %rd11;  isspacep.global %p5, %rd3;
        isspacep.shared %p6, %rd9;  isspacep.shared::cta %p7, %rd3;
        selp.u32 %r0, 1, 0, %p0;  selp.u32 %r1, 2, 0, %p1;   or.b32 %r0, %r0, %r1;
        selp.u32 %r1, 4, 0, %p2;  or.b32 %r0, %r0, %r1;  selp.u32 %r1, 8, 0, %p3;    or.b32 %r0, %r0, %r1;
        selp.u32 %r1, 16, 0, %p4; or.b32 %r0, %r0, %r1;  selp.u32 %r1, 32, 0, %p5;   or.b32 %r0, %r0, %r1;
        selp.u32 %r1, 64, 0, %p6; or.b32 %r0, %r0, %r1;  selp.u32 %r1, 128, 0, %p7;  or.b32 %r0, %r0, %r1;
        st.global.u32 [%rd1+40], %r0;
    )",
                                        "sm_90a", ".const .align 8 .u64 numbers[2] = {11, 12};");
    RunPtx run(text);
    ASSERT_EQ(run.load_error(), "");
    const u64 out = run.put(std::vector<u64>(6));
    LaunchConfig config;
    config.block.x = 1;
    const LaunchReport report = run.launch(config, out, u64{77});
    ASSERT_FALSE(report.finding) << finding_text(*report.finding);
    const std::vector<u64> got = run.get<u64>(out, 6);
    EXPECT_GE(got[0], kSharedWindow + kSharedStart);
    EXPECT_LT(got[0], kSharedWindow + kSharedWindowBytes);
    EXPECT_EQ(got[1], 0u);
    EXPECT_EQ(got[2], 77u);
    EXPECT_EQ(got[3], 77u);
    EXPECT_EQ(got[4], 12u);
    EXPECT_EQ(got[5], 0b10011111u);
}

TEST(EmulatedMove, CachePoliciesAreOpaque) {
    for (const std::string_view statement :
         {"createpolicy.fractional.L2::evict_last.b64 %rd0, 0.5;",
          "createpolicy.fractional.L2::evict_first.L2::evict_unchanged.b64 %rd0;",
          "createpolicy.range.global.L2::evict_last.L2::evict_first.b64 %rd0, [%rd1+16], 4096, 8192;",
          "createpolicy.range.L2::evict_normal.b64 %rd0, [%rd1], %r0, %r1;",
          "createpolicy.cvt.L2.b64 %rd0, 0x10000000;"}) {
        RunPtx run(ptx_kernel(
            "", ".reg .b32 %r<4>; .reg .b64 %rd<4>;\nmov.u64 %rd1, 0; mov.u32 %r0, 0; mov.u32 %r1, 0;\n" +
                    std::string(statement)));
        EXPECT_EQ(run.load_error(), "") << statement;
        LaunchConfig config;
        config.block.x = 32;
        EXPECT_FALSE(run.launch(config).finding);
    }
}

TEST(EmulatedMove, FormsThatPtxHasNotAreRefused) {
    for (const std::string_view statement :
         {"mov.b8 %c0, %c1;", "mov.b32 %r0, %rd0;", "mov.u32 %r0, %nonsense;",
          "mov.b64 %rd0, {%r0, %r1, %r2};", "mov.b64 {%r0, %r1}, {%r2, %r3};", "mov.b64 %rd0, {%h0, %h1};",
          "mov.b32 {%r0}, %r1;", "mov.b32 %r0, nowhere;", "cvta.u64 %rd0, %rd1;",
          "cvta.to.shared.u32 %r0, %r1;", "isspacep %p0, %rd0;", "createpolicy.b64 %rd0;"}) {
        RunPtx run(ptx_kernel(
            "", ".reg .pred %p<2>; .reg .b8 %c<2>; .reg .b16 %h<4>; .reg .b32 %r<4>; .reg .b64 %rd<4>;\n" +
                    std::string(statement)));
        EXPECT_FALSE(run.load_error().empty()) << statement;
    }
}

}  // namespace
}  // namespace warpwright::emulator
