// SPDX-License-Identifier: Apache-2.0
// Operations on codes and scales through the C ABI do what the C++ calls do with the same fields, to the bit.
#include "kernels/quantized_gemm/pack.h"
#include "library/same_results.h"
#include "warpwright/ops/amax.h"
#include "warpwright/ops/dequantize.h"
#include "warpwright/ops/moe_experts.h"
#include "warpwright/ops/quantize.h"
#include "warpwright/ops/quantized_gemm.h"
#include "warpwright/ops/scaled_gemm.h"
#include "warpwright/ops/scaling.h"

namespace warpwright {
namespace {

ww_quantize c_quantize(const Quantize& call) {
    ww_quantize c{sizeof(ww_quantize)};
    c.x = c_tensor(call.x), c.codes = c_tensor(call.codes), c.scales = c_tensor(call.scales);
    c.global_scale = c_tensor(call.global_scale), c.amax_parts = c_tensor(call.amax_parts);
    c.format = c_format(call.format);
    c.swizzled = call.swizzled;
    c.given_scale = call.given_scale;
    c.least_amax = call.least_amax;
    return c;
}

void expect_the_same_codes(Quantize (*make)(Arena&)) {
    expect_the_same(make, c_quantize, ww_run_quantize, ww_prepare_quantize, quantize);
}

TEST(Operations, QuantizeInGroups) {
    expect_the_same_codes([](Arena& arena) {
        return Quantize{.x = arena.reals(DType::bf16, {3, 256}),
                        .format = {CodeType::e5m2, ScaleType::power_of_two, 1, 128},
                        .codes = arena.bytes({3, 256}),
                        .scales = arena.scales({3, 2}),
                        .least_amax = 2.5f};
    });
}

TEST(Operations, QuantizeWithSwizzledCodedScales) {
    expect_the_same_codes([](Arena& arena) {
        return Quantize{.x = arena.reals(DType::f16, {3, 64}),
                        .format = kNvfp4,
                        .codes = arena.bytes({3, 32}),
                        .scales = arena.bytes({128, 4}),
                        .global_scale = arena.scales({1}),
                        .swizzled = true};
    });
}

TEST(Operations, QuantizeWithOneScale) {
    expect_the_same_codes([](Arena& arena) {
        return Quantize{.x = arena.reals(DType::bf16, {5, 40}),
                        .format = {CodeType::i8, ScaleType::f32, 0, 0},
                        .codes = arena.bytes({5, 40}),
                        .scales = arena.scales({1, 1}),
                        .amax_parts = arena.scales({512})};
    });
    expect_the_same_codes([](Arena& arena) {
        return Quantize{.x = arena.reals(DType::bf16, {5, 40}),
                        .format = kFp8PerTensor,
                        .codes = arena.bytes({5, 40}),
                        .scales = arena.scales({1, 1}),
                        .given_scale = true};
    });
}

TEST(Operations, Dequantize) {
    const auto to_c = [](const Dequantize& call) {
        ww_dequantize c{sizeof(ww_dequantize)};
        c.codes = c_tensor(call.codes), c.scales = c_tensor(call.scales), c.out = c_tensor(call.out);
        c.global_scale = c_tensor(call.global_scale);
        c.format = c_format(call.format);
        c.swizzled = call.swizzled;
        return c;
    };
    const auto numbers_of_blocks = [](Arena& arena) {
        return Dequantize{.codes = arena.bytes({130, 256}),
                          .scales = arena.scales({2, 2}),
                          .format = kFp8Blocks,
                          .out = arena.reals(DType::bf16, {130, 256})};
    };
    expect_the_same(numbers_of_blocks, to_c, ww_run_dequantize, ww_prepare_dequantize, dequantize);
    const auto numbers_of_nvfp4 = [](Arena& arena) {
        return Dequantize{.codes = arena.bytes({3, 32}),
                          .scales = arena.bytes({128, 4}),
                          .format = kNvfp4,
                          .out = arena.reals(DType::f32, {3, 64}),
                          .global_scale = arena.scales({1}),
                          .swizzled = true};
    };
    expect_the_same(numbers_of_nvfp4, to_c, ww_run_dequantize, ww_prepare_dequantize, dequantize);
}

TEST(Operations, Amax) {
    expect_the_same(
        [](Arena& arena) {
            return Amax{.x = arena.reals(DType::f16, {3, 40}), .out = arena.scales({7})};
        },
        [](const Amax& call) {
            ww_amax c{sizeof(ww_amax)};
            c.x = c_tensor(call.x), c.out = c_tensor(call.out);
            return c;
        },
        ww_run_amax, ww_prepare_amax, amax);
}

TEST(Operations, Scaling) {
    for (const bool largest_of_all : {false, true}) {
        expect_the_same(
            [&](Arena& arena) {
                return Scaling{.amax_history = arena.scales({4, 3}),
                               .scale = arena.scales({3}),
                               .scale_inv = arena.scales({3}),
                               .code = CodeType::e5m2,
                               .margin = -2,
                               .largest_of_all = largest_of_all};
            },
            [](const Scaling& call) {
                ww_scaling c{sizeof(ww_scaling)};
                c.amax_history = c_tensor(call.amax_history);
                c.scale = c_tensor(call.scale), c.scale_inv = c_tensor(call.scale_inv);
                c.code = WW_CODE_E5M2;
                c.margin = -2;
                c.most_recent = !call.largest_of_all;
                return c;
            },
            ww_run_scaling, ww_prepare_scaling, scaling);
    }
}

ww_scaled_gemm c_scaled_gemm(const ScaledGemm& call) {
    ww_scaled_gemm c{sizeof(ww_scaled_gemm)};
    c.a = c_tensor(call.a), c.b = c_tensor(call.b), c.d = c_tensor(call.d);
    c.a_scales = c_tensor(call.a_scales), c.b_scales = c_tensor(call.b_scales);
    c.bias = c_tensor(call.bias), c.gate = c_tensor(call.gate), c.residual = c_tensor(call.residual);
    c.a_zeros = c_tensor(call.a_zeros), c.b_sums = c_tensor(call.b_sums);
    c.group_of_row = c_tensor(call.group_of_row), c.rows_of_group = c_tensor(call.rows_of_group);
    c.a_format = c_format(call.a_format), c.b_format = c_format(call.b_format);
    c.expected_m = call.expected_m;
    c.activation = static_cast<int32_t>(call.activation);
    c.b_is_constant = call.b_is_constant;
    c.d_scale = c_tensor(call.d_scale), c.d_amax = c_tensor(call.d_amax);
    c.d_code = static_cast<int32_t>(call.d_code);
    return c;
}

void expect_the_same_products(ScaledGemm (*make)(Arena&)) {
    expect_the_same(make, c_scaled_gemm, ww_run_scaled_gemm, ww_prepare_scaled_gemm, scaled_gemm);
}

TEST(Operations, ScaledGemmOfIntegers) {
    expect_the_same_products([](Arena& arena) {
        return ScaledGemm{.a = arena.bytes({3, 40}),
                          .b = arena.bytes({5, 40}),
                          .a_scales = arena.scales({3, 1}),
                          .b_scales = arena.scales({1, 1}),
                          .a_format = kInt8PerToken,
                          .b_format = {CodeType::i8, ScaleType::f32, 0, 0},
                          .d = arena.reals(DType::f32, {3, 5}),
                          .bias = arena.reals(DType::f16, {5}),
                          .gate = arena.reals(DType::f16, {3, 5}),
                          .residual = arena.reals(DType::f32, {3, 5}),
                          .activation = Activation::silu,
                          .a_zeros = arena.ints({3}, {5, -7, 100}),
                          .b_sums = arena.ints({5}, {10, 20, 30, -40, 50})};
    });
}

TEST(Operations, ScaledGemmToCodes) {
    expect_the_same_products([](Arena& arena) {
        return ScaledGemm{.a = arena.bytes({3, 64}, 0, 0x77),
                          .b = arena.bytes({5, 64}, 0, 0x77),
                          .a_scales = arena.scales({3, 1}),
                          .b_scales = arena.scales({1, 1}),
                          .a_format = kFp8PerToken,
                          .b_format = kFp8PerTensor,
                          .d = arena.bytes({3, 5}),
                          .residual = arena.reals(DType::f16, {3, 5}),
                          .d_scale = arena.scales({1}),
                          .d_code = CodeType::i8,
                          .d_amax = arena.scales({1})};
    });
}

TEST(Operations, ScaledGemmOfGroups) {
    expect_the_same_products([](Arena& arena) {
        std::vector<i32> groups(256, 1);
        for (int i = 0; i < 256; ++i) groups[i] = i < 100 ? 1 : i < 128 ? -1 : i < 130 ? 0 : -1;
        return ScaledGemm{.a = arena.bytes({256, 128}, 0, 0x77),
                          .b = arena.bytes({2, 5, 128}, 0, 0x77),
                          .a_scales = arena.scales({256, 1}),
                          .b_scales = arena.scales({2, 1, 1}),
                          .a_format = kFp8Groups,
                          .b_format = kFp8Blocks,
                          .d = arena.reals(DType::bf16, {256, 5}),
                          .group_of_row = arena.ints({256}, groups)};
    });
    expect_the_same_products([](Arena& arena) {
        return ScaledGemm{.a = arena.bytes({2, 4, 64}, 0, 0x77),
                          .b = arena.bytes({2, 5, 64}, 0, 0x77),
                          .a_scales = arena.bytes({2, 4, 2}, 120, 130),
                          .b_scales = arena.bytes({2, 5, 2}, 120, 130),
                          .a_format = kMxfp8,
                          .b_format = kMxfp8,
                          .d = arena.reals(DType::bf16, {2, 4, 5}),
                          .rows_of_group = arena.ints({2}, {3, 1}),
                          .expected_m = 2};
    });
}

// A packed weight's tensors in an arena: bytes of any value are codes, zero points and orders are right.
QuantizedWeight packed_weight(Arena& arena, i64 groups, i64 n, i64 k) {
    std::vector<i32> order(static_cast<std::size_t>(groups * k));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<i32>((i * 37 + 5) % k);
    QuantizedWeight weight{.format = WeightFormat::int4, .groups = groups, .n = n, .k = k, .group = 32};
    weight.data = arena.bytes({groups * packed_data_bytes(weight.format, n, k)});
    weight.scales = arena.scales({groups * packed_scales(n, k, weight.group)});
    weight.zeros = arena.bytes({groups * packed_scales(n, k, weight.group)}, 0, 15);
    weight.order = arena.ints({groups * k}, order);
    return weight;
}

ww_quantized_weight c_weight(const QuantizedWeight& weight) {
    ww_quantized_weight c{sizeof(ww_quantized_weight)};
    c.format = static_cast<int32_t>(weight.format);
    c.global_scale = weight.global_scale;
    c.groups = weight.groups, c.n = weight.n, c.k = weight.k, c.group = weight.group;
    c.data = c_tensor(weight.data), c.scales = c_tensor(weight.scales), c.zeros = c_tensor(weight.zeros);
    c.order = c_tensor(weight.order), c.global_scales = c_tensor(weight.global_scales);
    return c;
}

void expect_the_same_products(QuantizedGemm (*make)(Arena&)) {
    std::deque<ww_quantized_weight> weights;
    const auto to_c = [&](const QuantizedGemm& call) {
        weights.push_back(c_weight(call.b));
        ww_quantized_gemm c{sizeof(ww_quantized_gemm)};
        c.a = c_tensor(call.a), c.d = c_tensor(call.d), c.b = &weights.back();
        c.bias = c_tensor(call.bias), c.gate = c_tensor(call.gate), c.residual = c_tensor(call.residual);
        c.group_of_row = c_tensor(call.group_of_row), c.rows_of_group = c_tensor(call.rows_of_group);
        c.expected_groups = call.expected_groups, c.expected_m = call.expected_m;
        c.activation = static_cast<int32_t>(call.activation);
        c.b_is_constant = call.b_is_constant;
        c.d_scale = c_tensor(call.d_scale), c.d_amax = c_tensor(call.d_amax);
        c.d_code = static_cast<int32_t>(call.d_code);
        return c;
    };
    expect_the_same(make, to_c, ww_run_quantized_gemm, ww_prepare_quantized_gemm, quantized_gemm);
}

TEST(Operations, QuantizedGemm) {
    expect_the_same_products([](Arena& arena) {
        QuantizedGemm call{.a = arena.reals(DType::f16, {3, 64}),
                           .b = packed_weight(arena, 1, 5, 64),
                           .d = arena.reals(DType::f32, {3, 5}),
                           .bias = arena.reals(DType::f16, {5}),
                           .gate = arena.reals(DType::f16, {3, 5}),
                           .residual = arena.reals(DType::f32, {3, 5}),
                           .activation = Activation::gelu};
        call.b.global_scale = 0.5f;
        return call;
    });
}

TEST(Operations, QuantizedGemmToCodes) {
    expect_the_same_products([](Arena& arena) {
        return QuantizedGemm{.a = arena.reals(DType::bf16, {3, 64}),
                             .b = packed_weight(arena, 1, 5, 64),
                             .d = arena.bytes({3, 5}),
                             .residual = arena.reals(DType::bf16, {3, 5}),
                             .d_scale = arena.scales({1}),
                             .d_code = CodeType::i8,
                             .d_amax = arena.scales({1})};
    });
}

TEST(Operations, QuantizedGemmOfGroups) {
    expect_the_same_products([](Arena& arena) {
        QuantizedGemm call{.a = arena.reals(DType::bf16, {2, 3, 64}),
                           .b = packed_weight(arena, 2, 5, 64),
                           .d = arena.reals(DType::bf16, {2, 3, 5}),
                           .rows_of_group = arena.ints({2}, {2, 3}),
                           .expected_groups = 1,
                           .expected_m = 2};
        call.b.global_scales = arena.scales({2});
        return call;
    });
    expect_the_same_products([](Arena& arena) {
        std::vector<i32> groups(128, -1);
        groups[0] = groups[1] = 1;
        return QuantizedGemm{.a = arena.reals(DType::bf16, {128, 64}),
                             .b = packed_weight(arena, 2, 5, 64),
                             .d = arena.reals(DType::bf16, {128, 5}),
                             .group_of_row = arena.ints({128}, groups)};
    });
}

TEST(Operations, QuantizedMoeExperts) {
    std::deque<ww_quantized_weight> weights;
    for (const i64 tokens : {2, 200}) {
        EXPECT_EQ(ww_moe_experts_quantized_workspace_bytes(tokens, 2, 4, 64, 32),
                  moe_experts_workspace_bytes(tokens, 2, 4, 64, 32, true, true));
        const auto make = [&](Arena& arena) {
            std::vector<i32> ids;
            for (i64 i = 0; i < tokens; ++i)
                ids.insert(ids.end(), {static_cast<i32>(i % 2), 3 - static_cast<i32>(i % 2)});
            MoeExperts call{.x = arena.reals(DType::bf16, {tokens, 64}),
                            .ids = arena.ints({tokens, 2}, ids),
                            .weights = arena.scales({tokens, 2}),
                            .quantized_gate = packed_weight(arena, 4, 32, 64),
                            .quantized_up = packed_weight(arena, 4, 32, 64),
                            .quantized_down = packed_weight(arena, 4, 64, 32),
                            .out = arena.reals(DType::bf16, {tokens, 64})};
            call.workspace = arena.bytes({moe_experts_workspace_bytes(tokens, 2, 4, 64, 32, true)}, 0, 0);
            return call;
        };
        const auto to_c = [&](const MoeExperts& call) {
            ww_moe_experts c{sizeof(ww_moe_experts)};
            c.x = c_tensor(call.x), c.ids = c_tensor(call.ids), c.weights = c_tensor(call.weights);
            c.out = c_tensor(call.out), c.workspace = c_tensor(call.workspace);
            const auto weight = [&](const QuantizedWeight& given) {
                return &weights.emplace_back(c_weight(given));
            };
            c.quantized_gate = weight(call.quantized_gate), c.quantized_up = weight(call.quantized_up);
            c.quantized_down = weight(call.quantized_down);
            c.activation = static_cast<int32_t>(call.activation);
            return c;
        };
        expect_the_same(make, to_c, ww_run_moe_experts, ww_prepare_moe_experts, moe_experts);
    }
}

TEST(Operations, AWeightMustBeThere) {
    const ContextHandle context = open_context("cpu");
    ww_quantized_gemm call{sizeof(ww_quantized_gemm)};
    EXPECT_EQ(ww_run_quantized_gemm(context.get(), &call, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "quantized_gemm: expected a weight b, got null");
    ww_quantized_weight weight{};
    call.b = &weight;
    EXPECT_EQ(ww_run_quantized_gemm(context.get(), &call, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "quantized_gemm: b: struct_size: expected sizeof of the struct, got 0");
}

TEST(Operations, WordsThatAreNone) {
    const ContextHandle context = open_context("cpu");
    ww_quantize quantize{sizeof(ww_quantize)};
    quantize.format.code = 4;
    EXPECT_EQ(ww_run_quantize(context.get(), &quantize, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "quantize: format.code: expected WW_CODE_E4M3 to WW_CODE_E2M1, got 4");
    ww_scaled_gemm product{sizeof(ww_scaled_gemm)};
    product.b_format.scale = -1;
    EXPECT_EQ(ww_run_scaled_gemm(context.get(), &product, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(),
                 "scaled_gemm: b_format.scale: expected WW_SCALE_F32 to WW_SCALE_E4M3, got -1");
    ww_kv_append append{sizeof(ww_kv_append)};
    append.kv_format = 4;
    EXPECT_EQ(ww_run_kv_append(context.get(), &append, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "kv_append: kv_format: expected WW_KV_SAME to WW_KV_NVFP4, got 4");
    ww_quantized_output output{};
    ww_rmsnorm norm{sizeof(ww_rmsnorm)};
    norm.quantized = &output;
    EXPECT_EQ(ww_run_rmsnorm(context.get(), &norm, nullptr), WW_ERROR_CALLER);
    EXPECT_STREQ(ww_last_error(), "rmsnorm: struct_size: expected sizeof of the struct, got 0");
}

}  // namespace
}  // namespace warpwright
