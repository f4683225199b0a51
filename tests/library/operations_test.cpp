// SPDX-License-Identifier: Apache-2.0
// Operations through the C ABI do what the C++ calls do with the same fields, to the bit: each field has a
// value that shows where it is lost or swapped. Attention's are in attention_operations_test.cpp.
#include <cstring>
#include <vector>

#include "c/handles.h"
#include "image/nvrtc.h"
#include "image/pack.h"
#include "kernels/fused/rope/problem.h"
#include "kernels/gemm/problem.h"
#include "library/same_results.h"
#include "warpwright/ops/embedding.h"
#include "warpwright/ops/gated_activation.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/kv_append.h"
#include "warpwright/ops/latent_append.h"
#include "warpwright/ops/logits.h"
#include "warpwright/ops/rmsnorm.h"
#include "warpwright/ops/rope.h"
#include "warpwright/ops/sample.h"

namespace warpwright {
namespace {

TEST(Operations, Gemm) {
    expect_the_same(
        [](Arena& arena) {
            return Gemm{.a = arena.reals(DType::bf16, {3, 40}),
                        .b = arena.reals(DType::bf16, {5, 40}),
                        .d = arena.reals(DType::f32, {3, 5}),
                        .bias = arena.reals(DType::bf16, {5}),
                        .gate = arena.reals(DType::bf16, {3, 5}),
                        .residual = arena.reals(DType::f32, {3, 5}),
                        .activation = Activation::gelu_tanh};
        },
        [](const Gemm& call) {
            ww_gemm c{sizeof(ww_gemm)};
            c.a = c_tensor(call.a), c.b = c_tensor(call.b), c.d = c_tensor(call.d);
            c.bias = c_tensor(call.bias), c.gate = c_tensor(call.gate), c.residual = c_tensor(call.residual);
            c.activation = WW_GELU_TANH;
            return c;
        },
        ww_run_gemm, ww_prepare_gemm, gemm);
}

TEST(Operations, GemmToCodes) {
    expect_the_same(
        [](Arena& arena) {
            return Gemm{.a = arena.reals(DType::bf16, {3, 40}),
                        .b = arena.reals(DType::bf16, {5, 40}),
                        .d = arena.bytes({3, 5}),
                        .d_scale = arena.scales({1}),
                        .d_code = CodeType::i8,
                        .d_amax = arena.scales({1})};
        },
        [](const Gemm& call) {
            ww_gemm c{sizeof(ww_gemm)};
            c.a = c_tensor(call.a), c.b = c_tensor(call.b), c.d = c_tensor(call.d);
            c.d_scale = c_tensor(call.d_scale), c.d_amax = c_tensor(call.d_amax);
            c.d_code = WW_CODE_I8;
            return c;
        },
        ww_run_gemm, ww_prepare_gemm, gemm);
}

// Wishes that change no result: what is launched has them.
TEST(Operations, GemmOfAConstantIsPreparedAsOne) {
    const ContextHandle context = open_context("cpu");
    std::vector<u16> a(16), b(16), d(1);
    ww_gemm call{sizeof(ww_gemm)};
    call.a = c_tensor(Tensor::dense(a.data(), DType::bf16, {1, 16}));
    call.b = c_tensor(Tensor::dense(b.data(), DType::bf16, {1, 16}));
    call.d = c_tensor(Tensor::dense(d.data(), DType::bf16, {1, 1}));
    for (const int32_t is_constant : {0, 1}) {
        call.b_is_constant = is_constant;
        ww_prepared* prepared = nullptr;
        ASSERT_WW_OK(ww_prepare_gemm(context.get(), &call, &prepared));
        const PreparedHandle owner(prepared);
        const auto& step = prepared->prepared.steps.at(0);
        GemmArgs args;
        ASSERT_EQ(step.args.size(), sizeof(args));
        std::memcpy(&args, step.args.data(), sizeof(args));
        EXPECT_EQ(args.b_is_constant, is_constant == 1);
    }
}

TEST(Operations, RopeOfReadyPositionsIsPreparedAsThat) {
    const ContextHandle context = open_context("cpu");
    std::vector<u16> numbers(16);
    std::vector<i32> positions{0};
    std::vector<float> frequency(8);
    ww_rope call{sizeof(ww_rope)};
    call.q = call.k = c_tensor(Tensor::dense(numbers.data(), DType::bf16, {1, 1, 16}));
    call.positions = c_tensor(Tensor::dense(positions.data(), DType::i32, {1}));
    call.frequency = c_tensor(Tensor::dense(frequency.data(), DType::f32, {8}));
    for (const int32_t are_ready : {0, 1}) {
        call.positions_are_ready = are_ready;
        ww_prepared* prepared = nullptr;
        ASSERT_WW_OK(ww_prepare_rope(context.get(), &call, &prepared));
        const PreparedHandle owner(prepared);
        const auto& step = prepared->prepared.steps.at(0);
        RopeArgs args;
        ASSERT_EQ(step.args.size(), sizeof(args));
        std::memcpy(&args, step.args.data(), sizeof(args));
        EXPECT_EQ(args.positions_are_ready, are_ready == 1);
    }
}

TEST(Operations, OverlapUnlessTheContextForbidsIt) {
    if (Pack::linked().entries().empty() && !nvrtc().ok()) GTEST_SKIP() << "needs compiled kernels";
    std::vector<u16> numbers(64);
    ww_gated_activation call{sizeof(ww_gated_activation)};
    call.gate = call.up = call.out = c_tensor(Tensor::dense(numbers.data(), DType::bf16, {1, 64}));
    for (const int32_t forbid : {0, 1}) {
        ww_context_options options{sizeof(ww_context_options)};
        options.forbid_overlap = forbid;
        const ContextHandle context = open_context("emulated:h100", &options);
        ww_prepared* prepared = nullptr;
        ASSERT_WW_OK(ww_prepare_gated_activation(context.get(), &call, &prepared));
        const PreparedHandle owner(prepared);
        EXPECT_EQ(prepared->prepared.steps.at(0).config.programmatic, forbid == 0);
    }
}

TEST(Operations, RmsNorm) {
    expect_the_same(
        [](Arena& arena) {
            return RmsNorm{.x = arena.reals(DType::bf16, {3, 64}),
                           .weight = arena.reals(DType::bf16, {64}),
                           .out = arena.reals(DType::bf16, {3, 64}),
                           .residual = arena.reals(DType::bf16, {3, 64}),
                           .epsilon = 0.5f,
                           .weight_offset = 1};
        },
        [](const RmsNorm& call) {
            ww_rmsnorm c{sizeof(ww_rmsnorm)};
            c.x = c_tensor(call.x), c.weight = c_tensor(call.weight), c.out = c_tensor(call.out);
            c.residual = c_tensor(call.residual);
            c.epsilon = 0.5f;
            c.weight_offset = 1;
            return c;
        },
        ww_run_rmsnorm, ww_prepare_rmsnorm, rmsnorm);
}

TEST(Operations, RmsNormToCodes) {
    ww_quantized_output output{};
    expect_the_same(
        [](Arena& arena) {
            return RmsNorm{.x = arena.reals(DType::bf16, {3, 64}),
                           .weight = arena.reals(DType::bf16, {64}),
                           .quantized = {.format = kNvfp4,
                                         .codes = arena.bytes({3, 32}),
                                         .scales = arena.bytes({128, 4}),
                                         .global_scale = arena.scales({1}),
                                         .swizzled = true,
                                         .least_amax = 1.5f,
                                         .amax = arena.scales({1})}};
        },
        [&](const RmsNorm& call) {
            ww_rmsnorm c{sizeof(ww_rmsnorm)};
            c.x = c_tensor(call.x), c.weight = c_tensor(call.weight);
            output = c_output(call.quantized);
            c.quantized = &output;
            return c;
        },
        ww_run_rmsnorm, ww_prepare_rmsnorm, rmsnorm);
}

TEST(Operations, Rope) {
    expect_the_same(
        [](Arena& arena) {
            return Rope{.q = arena.reals(DType::bf16, {3, 4, 64}),
                        .k = arena.reals(DType::bf16, {3, 2, 64}),
                        .positions = arena.ints({3}, {0, 9, 100}),
                        .frequency = arena.reals(DType::f32, {16}),
                        .magnitude = 1.5f,
                        .interleaved = true};
        },
        [](const Rope& call) {
            ww_rope c{sizeof(ww_rope)};
            c.q = c_tensor(call.q), c.k = c_tensor(call.k);
            c.positions = c_tensor(call.positions), c.frequency = c_tensor(call.frequency);
            c.magnitude = 1.5f;
            c.interleaved = 1;
            return c;
        },
        ww_run_rope, ww_prepare_rope, rope);
}

TEST(Operations, RopeOfQueriesElsewhere) {
    expect_the_same(
        [](Arena& arena) {
            return Rope{.q = arena.reals(DType::bf16, {3, 4, 64}),
                        .k = arena.reals(DType::bf16, {3, 2, 64}),
                        .positions = arena.ints({3}, {0, 9, 100}),
                        .frequency = arena.reals(DType::f32, {16}),
                        .q_out = arena.reals(DType::bf16, {3, 4, 32})};
        },
        [](const Rope& call) {
            ww_rope c{sizeof(ww_rope)};
            c.q = c_tensor(call.q), c.k = c_tensor(call.k), c.q_out = c_tensor(call.q_out);
            c.positions = c_tensor(call.positions), c.frequency = c_tensor(call.frequency);
            return c;
        },
        ww_run_rope, ww_prepare_rope, rope);
}

TEST(Operations, RopeThatAppends) {
    expect_the_same(
        [](Arena& arena) {
            return Rope{.q = arena.reals(DType::bf16, {3, 4, 64}),
                        .k = arena.reals(DType::bf16, {3, 2, 64}),
                        .positions = arena.ints({3}, {5, -1, 6}),
                        .frequency = arena.reals(DType::f32, {16}),
                        .v = arena.reals(DType::bf16, {3, 2, 64}),
                        .sequences = arena.ints({3}, {1, 0, 1}),
                        .page_table = arena.ints({2, 2}, {0, 1, 3, 2}),
                        .k_pages = arena.reals(DType::bf16, {4, 4, 2, 64}),
                        .v_pages = arena.reals(DType::bf16, {4, 4, 2, 64})};
        },
        [](const Rope& call) {
            ww_rope c{sizeof(ww_rope)};
            c.q = c_tensor(call.q), c.k = c_tensor(call.k), c.v = c_tensor(call.v);
            c.positions = c_tensor(call.positions), c.frequency = c_tensor(call.frequency);
            c.sequences = c_tensor(call.sequences), c.page_table = c_tensor(call.page_table);
            c.k_pages = c_tensor(call.k_pages), c.v_pages = c_tensor(call.v_pages);
            return c;
        },
        ww_run_rope, ww_prepare_rope, rope);
}

TEST(Operations, GatedActivation) {
    expect_the_same(
        [](Arena& arena) {
            return GatedActivation{.gate = arena.reals(DType::f16, {3, 24}),
                                   .up = arena.reals(DType::f16, {3, 24}),
                                   .out = arena.reals(DType::f16, {3, 24}),
                                   .activation = Activation::gelu};
        },
        [](const GatedActivation& call) {
            ww_gated_activation c{sizeof(ww_gated_activation)};
            c.gate = c_tensor(call.gate), c.up = c_tensor(call.up), c.out = c_tensor(call.out);
            c.activation = WW_GELU;
            return c;
        },
        ww_run_gated_activation, ww_prepare_gated_activation, gated_activation);
}

TEST(Operations, GatedActivationWithALimit) {
    expect_the_same(
        [](Arena& arena) {
            return GatedActivation{.gate = arena.reals(DType::f16, {3, 24}),
                                   .up = arena.reals(DType::f16, {3, 24}),
                                   .out = arena.reals(DType::f16, {3, 24}),
                                   .limit = 0.5f,
                                   .alpha = 1.702f,
                                   .up_offset = 1};
        },
        [](const GatedActivation& call) {
            ww_gated_activation c{sizeof(ww_gated_activation)};
            c.gate = c_tensor(call.gate), c.up = c_tensor(call.up), c.out = c_tensor(call.out);
            c.activation = WW_SILU;
            c.limit = 0.5f, c.alpha = 1.702f, c.up_offset = 1;
            return c;
        },
        ww_run_gated_activation, ww_prepare_gated_activation, gated_activation);
}

TEST(Operations, GatedActivationToCodes) {
    ww_quantized_output output{};
    expect_the_same(
        [](Arena& arena) {
            return GatedActivation{.gate = arena.reals(DType::f16, {3, 24}),
                                   .up = arena.reals(DType::f16, {3, 24}),
                                   .out = arena.reals(DType::f16, {3, 24}),
                                   .activation = Activation::gelu,
                                   .quantized = {.format = kFp8PerTensor,
                                                 .codes = arena.bytes({3, 24}),
                                                 .scales = arena.scales({1, 1}),
                                                 .given_scale = true,
                                                 .amax = arena.scales({1})}};
        },
        [&](const GatedActivation& call) {
            ww_gated_activation c{sizeof(ww_gated_activation)};
            c.gate = c_tensor(call.gate), c.up = c_tensor(call.up), c.out = c_tensor(call.out);
            c.activation = WW_GELU;
            output = c_output(call.quantized);
            c.quantized = &output;
            return c;
        },
        ww_run_gated_activation, ww_prepare_gated_activation, gated_activation);
}

TEST(Operations, Embedding) {
    expect_the_same(
        [](Arena& arena) {
            return Embedding{.ids = arena.ints({3}, {4, 0, 9}),
                             .table = arena.reals(DType::f32, {5, 8}),
                             .out = arena.reals(DType::f32, {3, 8}),
                             .scale = 2};
        },
        [](const Embedding& call) {
            ww_embedding c{sizeof(ww_embedding)};
            c.ids = c_tensor(call.ids), c.table = c_tensor(call.table), c.out = c_tensor(call.out);
            c.scale = 2;
            return c;
        },
        ww_run_embedding, ww_prepare_embedding, embedding);
}

TEST(Operations, KvAppend) {
    expect_the_same(
        [](Arena& arena) {
            return KvAppend{.k = arena.reals(DType::bf16, {3, 2, 64}),
                            .v = arena.reals(DType::bf16, {3, 2, 64}),
                            .sequences = arena.ints({3}, {1, 0, 1}),
                            .positions = arena.ints({3}, {5, -1, 6}),
                            .page_table = arena.ints({2, 2}, {0, 1, 3, 2}),
                            .k_pages = arena.reals(DType::bf16, {4, 4, 2, 64}),
                            .v_pages = arena.reals(DType::bf16, {4, 4, 2, 64})};
        },
        [](const KvAppend& call) {
            ww_kv_append c{sizeof(ww_kv_append)};
            c.k = c_tensor(call.k), c.v = c_tensor(call.v);
            c.sequences = c_tensor(call.sequences), c.positions = c_tensor(call.positions);
            c.page_table = c_tensor(call.page_table);
            c.k_pages = c_tensor(call.k_pages), c.v_pages = c_tensor(call.v_pages);
            return c;
        },
        ww_run_kv_append, ww_prepare_kv_append, kv_append);
}

TEST(Operations, KvAppendOfCodes) {
    expect_the_same(
        [](Arena& arena) {
            return KvAppend{.k = arena.reals(DType::bf16, {3, 2, 64}),
                            .v = arena.reals(DType::bf16, {3, 2, 64}),
                            .sequences = arena.ints({3}, {1, 0, 1}),
                            .positions = arena.ints({3}, {5, -1, 6}),
                            .page_table = arena.ints({2, 2}, {0, 1, 3, 2}),
                            .k_pages = arena.bytes({4, 4, 2, 64}),
                            .v_pages = arena.bytes({4, 4, 2, 64}),
                            .kv_format = KvFormat::fp8_e4m3,
                            .k_scale = arena.scales({1}),
                            .v_scale = arena.scales({2})};
        },
        [](const KvAppend& call) {
            ww_kv_append c{sizeof(ww_kv_append)};
            c.k = c_tensor(call.k), c.v = c_tensor(call.v);
            c.sequences = c_tensor(call.sequences), c.positions = c_tensor(call.positions);
            c.page_table = c_tensor(call.page_table);
            c.k_pages = c_tensor(call.k_pages), c.v_pages = c_tensor(call.v_pages);
            c.k_scale = c_tensor(call.k_scale), c.v_scale = c_tensor(call.v_scale);
            c.kv_format = WW_KV_FP8_E4M3;
            return c;
        },
        ww_run_kv_append, ww_prepare_kv_append, kv_append);
}

TEST(Operations, LatentAppend) {
    const auto append = [](Arena& arena) {
        return LatentAppend{.x = arena.reals(DType::bf16, {3, 576}),
                            .sequences = arena.ints({3}, {1, 0, 1}),
                            .positions = arena.ints({3}, {5, -1, 6}),
                            .page_table = arena.ints({2, 2}, {0, 1, 3, 2}),
                            .pages = arena.bytes({4, 4, 656}),
                            .scale = ScaleType::power_of_two,
                            .least_amax = 8};
    };
    const auto to_c = [](const LatentAppend& call) {
        ww_latent_append c{sizeof(ww_latent_append)};
        c.x = c_tensor(call.x), c.pages = c_tensor(call.pages);
        c.sequences = c_tensor(call.sequences), c.positions = c_tensor(call.positions);
        c.page_table = c_tensor(call.page_table);
        c.scale = WW_SCALE_POWER_OF_TWO, c.least_amax = 8;
        return c;
    };
    expect_the_same(append, to_c, ww_run_latent_append, ww_prepare_latent_append, latent_append);

    Arena arena;
    const ContextHandle handle = open_context("cpu");
    ww_latent_append c = to_c(append(arena));
    c.scale = WW_SCALE_E8M0;
    EXPECT_EQ(ww_run_latent_append(handle.get(), &c, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(),
                 "latent_append: scale: expected WW_SCALE_F32 or WW_SCALE_POWER_OF_TWO, got 2");
}

TEST(Operations, RopeToPagesOfCodes) {
    expect_the_same(
        [](Arena& arena) {
            return Rope{.q = arena.reals(DType::bf16, {3, 4, 64}),
                        .k = arena.reals(DType::bf16, {3, 2, 64}),
                        .positions = arena.ints({3}, {5, -1, 6}),
                        .frequency = arena.reals(DType::f32, {16}),
                        .v = arena.reals(DType::bf16, {3, 2, 64}),
                        .sequences = arena.ints({3}, {1, 0, 1}),
                        .page_table = arena.ints({2, 2}, {0, 1, 3, 2}),
                        .k_pages = arena.bytes({4, 4, 2, 64}),
                        .v_pages = arena.bytes({4, 4, 2, 64}),
                        .kv_format = KvFormat::fp8_e5m2,
                        .k_scale = arena.scales({2}),
                        .v_scale = arena.scales({1})};
        },
        [](const Rope& call) {
            ww_rope c{sizeof(ww_rope)};
            c.q = c_tensor(call.q), c.k = c_tensor(call.k), c.v = c_tensor(call.v);
            c.positions = c_tensor(call.positions), c.frequency = c_tensor(call.frequency);
            c.sequences = c_tensor(call.sequences), c.page_table = c_tensor(call.page_table);
            c.k_pages = c_tensor(call.k_pages), c.v_pages = c_tensor(call.v_pages);
            c.k_scale = c_tensor(call.k_scale), c.v_scale = c_tensor(call.v_scale);
            c.kv_format = WW_KV_FP8_E5M2;
            return c;
        },
        ww_run_rope, ww_prepare_rope, rope);
}

TEST(Operations, Logits) {
    expect_the_same(
        [](Arena& arena) {
            return Logits{.in = arena.reals(DType::f32, {2, 10}),
                          .out = arena.reals(DType::f32, {2, 10}),
                          .softcap = 2,
                          .starts = arena.ints({3}, {0, 2, 3}),
                          .tokens = arena.ints({3}, {7, 1, 4}),
                          .repetition = arena.reals(DType::f32, {3}),
                          .addend = arena.reals(DType::f32, {3}),
                          .bias = arena.reals(DType::f32, {3})};
        },
        [](const Logits& call) {
            ww_logits c{sizeof(ww_logits)};
            c.in = c_tensor(call.in), c.out = c_tensor(call.out), c.starts = c_tensor(call.starts);
            c.tokens = c_tensor(call.tokens), c.repetition = c_tensor(call.repetition);
            c.addend = c_tensor(call.addend), c.bias = c_tensor(call.bias);
            c.softcap = 2;
            return c;
        },
        ww_run_logits, ww_prepare_logits, logits);
}

TEST(Operations, Sample) {
    expect_the_same(
        [](Arena& arena) {
            Sample call{.logits = arena.reals(DType::f32, {3, 50}),
                        .temperature = arena.reals(DType::f32, {3}),
                        .top_k = arena.ints({3}, {0, 20, 5}),
                        .top_p = arena.reals(DType::f32, {3}),
                        .min_p = arena.reals(DType::f32, {3}),
                        .seeds = arena.ints({3, 2}, {1, 2, 3, 4, 5, 6}),
                        .steps = arena.ints({3}, {0, 10, 3}),
                        .tokens = arena.ints({3}, {-1, -1, -1})};
            const float values[3][3] = {{0.7f, 1, 0.95f}, {0.9f, 1, 0.8f}, {0, 0.01f, 0}};
            std::memcpy(call.temperature.data, values[0], sizeof(values[0]));
            std::memcpy(call.top_p.data, values[1], sizeof(values[1]));
            std::memcpy(call.min_p.data, values[2], sizeof(values[2]));
            return call;
        },
        [](const Sample& call) {
            ww_sample c{sizeof(ww_sample)};
            c.logits = c_tensor(call.logits), c.temperature = c_tensor(call.temperature);
            c.top_k = c_tensor(call.top_k), c.top_p = c_tensor(call.top_p), c.min_p = c_tensor(call.min_p);
            c.seeds = c_tensor(call.seeds), c.steps = c_tensor(call.steps), c.tokens = c_tensor(call.tokens);
            return c;
        },
        ww_run_sample, ww_prepare_sample, sample);
}

TEST(Operations, RopeFrequencies) {
    const RopeScaling scaling{.kind = RopeScaling::Kind::llama3, .factor = 8, .original_max_position = 4096};
    const RopeFrequencies expected = rope_frequencies(5e5, 64, scaling, 100000);
    ww_rope_scaling c{sizeof(ww_rope_scaling)};
    c.kind = WW_ROPE_LLAMA3;
    c.factor = 8;
    c.original_max_position = 4096;
    std::vector<float> frequencies(32);
    float magnitude = 0;
    ASSERT_WW_OK(ww_rope_frequencies(5e5, 64, &c, 100000, frequencies.data(), &magnitude));
    EXPECT_EQ(frequencies, expected.frequency);
    EXPECT_EQ(magnitude, expected.magnitude);

    const RopeScaling longrope{.kind = RopeScaling::Kind::longrope,
                               .original_max_position = 4096,
                               .short_factor = {1, 2},
                               .long_factor = {3, 4}};
    c = {sizeof(ww_rope_scaling)};
    c.kind = WW_ROPE_LONGROPE;
    c.original_max_position = 4096;
    EXPECT_EQ(ww_rope_frequencies(1e4, 4, &c, 8192, frequencies.data(), &magnitude), WW_ERROR_CALLER);
    c.short_factor = longrope.short_factor.data();
    c.long_factor = longrope.long_factor.data();
    ASSERT_WW_OK(ww_rope_frequencies(1e4, 4, &c, 8192, frequencies.data(), &magnitude));
    frequencies.resize(2);
    EXPECT_EQ(frequencies, rope_frequencies(1e4, 4, longrope, 8192).frequency);
}

}  // namespace
}  // namespace warpwright
