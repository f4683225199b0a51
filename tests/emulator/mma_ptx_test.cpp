// SPDX-License-Identifier: Apache-2.0
// mma.sync in PTX: which registers go where, and which arithmetic a form and a GPU get. The arithmetic itself
// is tested in mma_test.cpp.
#include <random>

#include "emulator/execute/mma.h"
#include "tests/emulator/run_ptx.h"

namespace warpwright::emulator {
namespace {

using mma::Format;
using mma::Fragments;

struct Form {
    std::string opcode;
    int num_a, num_b, num_c;
};

std::string registers(const std::string& name, int num) {
    std::string text;
    for (int i = 0; i < num; ++i) text += fmt::format("{}%{}{}", i == 0 ? "" : ", ", name, i);
    return "{" + text + "}";
}

// Words of `in`: register by register, 32 lanes each: a, b, c. `out` gets d. `before` runs first.
std::string kernel(const Form& form, const std::string& target, const std::string& before = "",
                   const std::string& d = "d", const std::string& c = "c") {
    const bool is_f32 = form.opcode.ends_with(".f32");
    std::string text = fmt::format(
        ".reg .b32 %a<5>, %b<3>;  .reg .{0} %c<5>, %d<5>;  .reg .b32 %lane;  .reg .pred %p;\n"
        ".reg .b64 %in, %out, %offset;\nmov.u32 %lane, %laneid;\nmul.wide.u32 %offset, %lane, 4;\n"
        "ld.param.u64 %in, [in];\nadd.s64 %in, %in, %offset;\nld.param.u64 %out, [out];\n"
        "add.s64 %out, %out, %offset;\n",
        is_f32 ? "f32" : "b32");
    int word = 0;
    const auto load = [&](const char* name, int num, const char* type) {
        for (int i = 0; i < num; ++i)
            text += fmt::format("ld.global.{} %{}{}, [%in + {}];\n", type, name, i, 128 * word++);
    };
    load("a", form.num_a, "b32");
    load("b", form.num_b, "b32");
    load("c", form.num_c, is_f32 ? "f32" : "b32");
    text += before + "\n";
    text += fmt::format("{} {}, {}, {}, {};\n", form.opcode, registers(d, form.num_c),
                        registers("a", form.num_a), registers("b", form.num_b), registers(c, form.num_c));
    for (int i = 0; i < form.num_c; ++i)
        text += fmt::format("st.global.{} [%out + {}], %{}{};\n", is_f32 ? "f32" : "b32", 128 * i, d, i);
    return ptx_kernel(".param .u64 in, .param .u64 out", text, target);
}

std::mt19937 generator(5);

std::vector<u32> random_words(const Form& form) {
    std::vector<u32> words(static_cast<std::size_t>(form.num_a + form.num_b + form.num_c) * 32);
    for (u32& word : words) word = static_cast<u32>(generator());
    return words;
}

struct Outcome {
    LaunchReport report;
    std::vector<u32> words;
};
Outcome launch(const std::string& text, const std::string& gpu, const Form& form,
               const std::vector<u32>& words, CheckLevel level = CheckLevel::all, int threads = 32) {
    RunPtx run(text, gpu);
    run.options.level = level;
    const std::size_t num = static_cast<std::size_t>(form.num_c) * 32;
    const u64 in = run.put(words), out = run.put(std::vector<u32>(num, 77));
    LaunchConfig config;
    config.block.x = threads;
    Outcome outcome{run.launch(config, in, out), {}};
    outcome.words = run.get<u32>(out, num);
    return outcome;
}

// What the arithmetic gives for these words.
template <class Multiply>
std::vector<u32> expected(const Form& form, const std::vector<u32>& words, Multiply multiply) {
    std::vector<u32> result(static_cast<std::size_t>(form.num_c) * 32);
    alignas(64) u32 lanes[14][32];
    Fragments f;
    int next = 0;
    const auto take = [&](const u32** to, int num) {
        for (int i = 0; i < num; ++i, ++next) {
            std::memcpy(lanes[next], words.data() + static_cast<std::size_t>(next) * 32, 128);
            to[i] = lanes[next];
        }
    };
    take(f.a, form.num_a);
    take(f.b, form.num_b);
    take(f.c, form.num_c);
    alignas(64) u32 d[4][32];
    for (int i = 0; i < 4; ++i) f.d[i] = d[i];
    multiply(f);
    for (int i = 0; i < form.num_c; ++i) std::memcpy(result.data() + 32 * i, d[i], 128);
    return result;
}

struct Gpu {
    const char* name;
    const char* target;
    int capability;
};
constexpr Gpu kGpus[] = {{"a100-80", "sm_80", 80},
                         {"l40s", "sm_89", 89},
                         {"h100-sxm", "sm_90a", 90},
                         {"b200", "sm_100f", 100},
                         {"rtx-pro-6000", "sm_120f", 120}};

std::string name_of(Format format) {
    const char* const names[] = {"f16", "bf16", "tf32", "e4m3", "e5m2", "e3m2", "e2m3", "e2m1"};
    return names[static_cast<int>(format)];
}

void expect_float(const Gpu& gpu, Format a, Format b, int k, bool is_f16, const std::string& kind = "") {
    const std::string sum = is_f16 ? "f16" : "f32";
    const int halves = k * mma::facts_of(a).container_bits / 128;
    const Form form{fmt::format("mma.sync.aligned.m16n8k{}.row.col{}.{}.{}.{}.{}", k, kind, sum, name_of(a),
                                name_of(b), sum),
                    2 * halves, halves, is_f16 ? 2 : 4};
    const std::vector<u32> words = random_words(form);
    const Outcome outcome = launch(kernel(form, gpu.target), gpu.name, form, words);
    EXPECT_FALSE(outcome.report.finding) << form.opcode;
    const DecodeTarget target{gpu.capability, numerics_of(gpu.capability)};
    EXPECT_EQ(outcome.words, expected(form, words,
                                      [&](const Fragments& f) {
                                          const auto product = mma::float_product(target, a, b, k, is_f16);
                                          mma::multipliers(SimdLevel::baseline).multiply_floats(product, f);
                                      }))
        << form.opcode << " on " << gpu.name;
}

TEST(EmulatedMmaPtx, FloatForms) {
    constexpr Format kFp8[] = {Format::e4m3, Format::e5m2};
    constexpr Format kSmall[] = {Format::e4m3, Format::e5m2, Format::e3m2, Format::e2m3, Format::e2m1};
    for (const Gpu& gpu : kGpus) {
        for (const int k : {8, 16}) {
            expect_float(gpu, Format::f16, Format::f16, k, false);
            expect_float(gpu, Format::f16, Format::f16, k, true);
            expect_float(gpu, Format::bf16, Format::bf16, k, false);
            expect_float(gpu, Format::tf32, Format::tf32, k / 2, false);
        }
        for (const bool is_f16 : {false, true}) {
            for (const Format a : kFp8) {
                for (const Format b : kFp8) {
                    if (gpu.capability < 89) continue;
                    expect_float(gpu, a, b, 16, is_f16);
                    expect_float(gpu, a, b, 32, is_f16);
                    if (gpu.capability >= 100) expect_float(gpu, a, b, 32, is_f16, ".kind::f8f6f4");
                }
            }
            for (const Format a : kSmall) {
                for (const Format b : kSmall) {
                    if (gpu.capability == 120) expect_float(gpu, a, b, 32, is_f16, ".kind::f8f6f4");
                }
            }
        }
    }
}

void expect_integer(const std::string& types, int bits, int rows, int k, const std::string& modifiers) {
    mma::IntegerProduct product;
    product.bits = static_cast<u8>(bits);
    product.rows = static_cast<u8>(rows);
    product.k = static_cast<u16>(k);
    product.a_signed = types[0] == 's';
    product.b_signed = types[1] == 's';
    product.saturates = modifiers == ".satfinite";
    product.counts_and = modifiers == ".and.popc";
    const Form form{fmt::format("mma.sync.aligned.m{}n8k{}.row.col{}.s32.{}{}.{}{}.s32", rows, k,
                                bits == 1 ? "" : modifiers, types[0], bits, types[1], bits) +
                        (bits == 1 ? modifiers : ""),
                    rows / 8 * k * bits / 128, k * bits / 128, rows / 4};
    const std::vector<u32> words = random_words(form);
    const Outcome outcome = launch(kernel(form, "sm_90a"), "h100-sxm", form, words);
    EXPECT_FALSE(outcome.report.finding) << form.opcode;
    EXPECT_EQ(outcome.words, expected(form, words,
                                      [&](const Fragments& f) {
                                          mma::multipliers(SimdLevel::baseline).multiply_integers(product, f);
                                      }))
        << form.opcode;
}

TEST(EmulatedMmaPtx, IntegerForms) {
    for (const char* types : {"ss", "su", "us", "uu"}) {
        for (const char* modifiers : {"", ".satfinite"}) {
            expect_integer(types, 8, 8, 16, modifiers);
            expect_integer(types, 8, 16, 16, modifiers);
            expect_integer(types, 8, 16, 32, modifiers);
            expect_integer(types, 4, 8, 32, modifiers);
            expect_integer(types, 4, 16, 32, modifiers);
            expect_integer(types, 4, 16, 64, modifiers);
        }
    }
    for (const char* modifiers : {".xor.popc", ".and.popc"}) {
        expect_integer("bb", 1, 8, 128, modifiers);
        expect_integer("bb", 1, 16, 128, modifiers);
        expect_integer("bb", 1, 16, 256, modifiers);
    }
}

const Form kBf16{"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", 4, 2, 4};

TEST(EmulatedMmaPtx, TheAccumulatorMayBeTheResult) {
    const std::vector<u32> words = random_words(kBf16);
    const auto apart = launch(kernel(kBf16, "sm_90a"), "h100-sxm", kBf16, words);
    const auto in_place = launch(kernel(kBf16, "sm_90a", "", "c", "c"), "h100-sxm", kBf16, words);
    EXPECT_EQ(apart.words, in_place.words);
    // s32 results over their own operands, turned around: d0 is c3.
    const Form form{"mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", 4, 2, 4};
    const std::vector<u32> integers = random_words(form);
    std::string text = kernel(form, "sm_90a");
    const std::string plain = "{%d0, %d1, %d2, %d3}";
    text.replace(text.find(plain), plain.size(), "{%c3, %c2, %c1, %c0}");
    text.replace(text.find("st.global"), 0,
                 "mov.b32 %d0, %c3; mov.b32 %d1, %c2; mov.b32 %d2, %c1; mov.b32 %d3, %c0;\n");
    EXPECT_EQ(launch(kernel(form, "sm_90a"), "h100-sxm", form, integers).words,
              launch(text, "h100-sxm", form, integers).words);
}

TEST(EmulatedMmaPtx, LanesThatComeLaterAreWaitedFor) {
    const std::vector<u32> words = random_words(kBf16);
    const std::string way =
        "and.b32 %lane, %lane, 4; setp.eq.u32 %p, %lane, 0; @%p bra meet; not.b32 %lane, %lane;"
        "not.b32 %lane, %lane; meet:";
    const auto outcome = launch(kernel(kBf16, "sm_90a", way), "h100-sxm", kBf16, words);
    EXPECT_FALSE(outcome.report.finding);
    EXPECT_EQ(outcome.words, launch(kernel(kBf16, "sm_90a"), "h100-sxm", kBf16, words).words);
}

TEST(EmulatedMmaPtx, AWarpWithoutAllItsLanesIsAFinding) {
    const std::vector<u32> words = random_words(kBf16);
    const auto exited = kernel(kBf16, "sm_90a", "setp.eq.u32 %p, %lane, 9; @%p exit;");
    const auto outcome = launch(exited, "h100-sxm", kBf16, words);
    ASSERT_TRUE(outcome.report.finding.has_value());
    EXPECT_EQ(outcome.report.finding->kind, FindingKind::non_convergent);
    EXPECT_EQ(outcome.report.finding->lanes, 1u << 9);
    const auto small = launch(kernel(kBf16, "sm_90a"), "h100-sxm", kBf16, words, CheckLevel::bounds, 16);
    ASSERT_TRUE(small.report.finding.has_value());
    EXPECT_EQ(small.report.finding->lanes, 0xffff'0000u);
    // Without checks the other lanes go on.
    const auto unchecked = launch(exited, "h100-sxm", kBf16, words, CheckLevel::off);
    EXPECT_FALSE(unchecked.report.finding);
    const auto whole = launch(kernel(kBf16, "sm_90a"), "h100-sxm", kBf16, words);
    for (std::size_t l = 0; l < 32; ++l) EXPECT_EQ(unchecked.words[l], l == 9 ? 77u : whole.words[l]);
}

TEST(EmulatedMmaPtx, WhatIsNotCoveredDoesNotLoad) {
    const auto error = [](const Form& form, const char* target = "sm_90a", const char* gpu = "h100-sxm") {
        return RunPtx(kernel(form, target), gpu).load_error();
    };
    const auto contains = [](const std::string& text, const char* part) {
        return text.find(part) != std::string::npos;
    };
    EXPECT_TRUE(
        contains(error({"mma.sync.aligned.m16n8k16.row.col.f64.f64.f64.f64", 4, 2, 4}), "not covered yet"));
    EXPECT_TRUE(
        contains(error({"mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32", 2, 2, 4}), "not covered yet"));
    EXPECT_TRUE(
        contains(error({"mma.sp::ordered_metadata.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 2, 2, 4}),
                 "not covered yet"));
    EXPECT_TRUE(
        contains(error({"mma.sync.aligned.kind::mxf8f6f4.block_scale.scale_vec::1X.m16n8k32.row.col.f32."
                        "e4m3.e4m3.f32.ue8m0",
                        4, 2, 4},
                       "sm_120a", "rtx-pro-6000"),
                 "not covered yet"));
    // Not PTX.
    EXPECT_NE(error({"mma.sync.aligned.m16n8k16.row.col.f16.bf16.bf16.f16", 4, 2, 2}), "");
    EXPECT_NE(error({"mma.sync.aligned.m16n8k16.row.col.f32.f16.bf16.f32", 4, 2, 4}), "");
    EXPECT_NE(error({"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", 2, 2, 4}), "");
    EXPECT_NE(error({"mma.sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32", 4, 2, 4}), "");
    EXPECT_NE(error({"mma.sync.aligned.m16n8k16.col.row.bf16.f32", 4, 2, 4}), "");
    EXPECT_NE(error({"mma.sync.aligned.m16n8k16.col.col.f32.bf16.bf16.f32", 4, 2, 4}), "");
    EXPECT_NE(error({"mma.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", 4, 2, 4}), "");
    EXPECT_NE(error({"mma.sync.aligned.m16n8k16.row.col.satfinite.f32.bf16.bf16.f32", 4, 2, 4}), "");
    EXPECT_NE(
        error({"mma.sync.aligned.m16n8k32.row.col.f32.e2m1.e2m1.f32", 4, 2, 4}, "sm_120a", "rtx-pro-6000"),
        "");
    EXPECT_NE(error({"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", 4, 2, 4}, "sm_80", "a100-80"),
              "");
    EXPECT_NE(error({"mma.sync.aligned.m16n8k32.row.col.s32.s8.s4.s32", 4, 2, 4}), "");
    EXPECT_NE(error({"mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32", 4, 2, 4}), "");
}

}  // namespace
}  // namespace warpwright::emulator
