// SPDX-License-Identifier: Apache-2.0
// Keys and values of 8 bits: what append writes, bit by bit, and that attention reads nothing else from them
// than 16-bit keys and values would say.
#include "warpwright/kv_format.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/fused/kv_append/oracle.h"
#include "kernels/host_math.h"
#include "kernels/kv_format.h"
#include "ops/check_test.h"
#include "warpwright/ops/attention.h"
#include "warpwright/ops/kv_append.h"

namespace warpwright {
namespace {

constexpr KvFormat kCoded[] = {KvFormat::fp8_e4m3, KvFormat::fp8_e5m2};

// One token of one head into one page; the codes.
std::vector<u8> append_codes(DType dtype, std::vector<u16>& values, KvFormat format, float* scale) {
    const auto count = static_cast<i64>(values.size());
    std::vector<u8> k(values.size()), v(values.size());
    i32 zero = 0;
    const Tensor token = Tensor::dense(values.data(), dtype, {1, 1, count});
    KvAppend call{.k = token,
                  .v = token,
                  .sequences = Tensor::dense(&zero, DType::i32, {1}),
                  .positions = Tensor::dense(&zero, DType::i32, {1}),
                  .page_table = Tensor::dense(&zero, DType::i32, {1, 1}),
                  .k_pages = Tensor::dense(k.data(), DType::u8, {1, 1, 1, count}),
                  .v_pages = Tensor::dense(v.data(), DType::u8, {1, 1, 1, count}),
                  .kv_format = format};
    if (scale != nullptr) call.k_scale = call.v_scale = Tensor::dense(scale, DType::f32, {1});
    EXPECT_TRUE(kv_append(cpu_context(), {}, call).ok());
    EXPECT_EQ(k, v);
    return k;
}

TEST(KvFormat, AppendRoundsEveryNumberToTheNearestCode) {
    for (const KvFormat format : kCoded) {
        for (const DType dtype : {DType::bf16, DType::f16}) {
            std::vector<u16> all(1 << 16);
            std::vector<float> values;
            for (std::size_t bits = 0; bits < all.size(); ++bits) {
                all[bits] = static_cast<u16>(bits);
                values.push_back(load_float(all.data(), dtype, static_cast<i64>(bits)));
            }
            for (float scale : {1.0f, 0.37f, 0x1p-140f, 3e38f}) {
                const std::vector<float> answer = kv_codes(values, format, {scale}, 1);
                const std::vector<u8> codes = append_codes(dtype, all, format, &scale);
                int different = 0;
                for (std::size_t i = 0; i < codes.size(); ++i)
                    different += static_cast<float>(codes[i]) != answer[i];
                EXPECT_EQ(different, 0) << kv_format_name(format) << " " << dtype_name(dtype) << " " << scale;
                if (scale == 1) {
                    EXPECT_EQ(codes, append_codes(dtype, all, format, nullptr));
                }
            }
        }
    }
}

TEST(KvFormat, AScaleThatIsNoneMakesCodesOfNan) {
    std::vector<u16> values = {float_to_bf16(1), float_to_bf16(-2), 0};
    const float infinity = std::numeric_limits<float>::infinity();
    for (float scale : {0.0f, -0.0f, -1.0f, infinity, std::nanf("")}) {
        for (const KvFormat format : kCoded) {
            EXPECT_EQ(append_codes(DType::bf16, values, format, &scale), std::vector<u8>(3, 0x7f)) << scale;
        }
    }
}

// A prompt of random codes, and the same as bf16 numbers.
struct CodedCall {
    static constexpr i64 kQueries = 7, kKeys = 90, kHeads = 4, kKvHeads = 2, kHeadDim = 48;
    std::vector<u8> codes;
    std::vector<u16> q, numbers, out;
    std::vector<float> scales = {0.25f, 8};  // of each kv head: powers of two, so that products are exact
    std::vector<i32> starts = {0, kQueries, 0, kKeys};
    Attention call;

    explicit CodedCall(KvFormat format) {
        std::mt19937 random(3);
        std::normal_distribution<float> normal;
        for (i64 i = 0; i < kQueries * kHeads * kHeadDim; ++i) q.push_back(float_to_bf16(normal(random)));
        for (i64 i = 0; i < 2 * kKeys * kKvHeads * kHeadDim; ++i) {
            codes.push_back(formats::encode(small_float_of(format), normal(random)));
            numbers.push_back(float_to_bf16(formats::decode(small_float_of(format), codes.back())));
        }
        out.resize(q.size());
        call = {.q = Tensor::dense(q.data(), DType::bf16, {kQueries, kHeads, kHeadDim}),
                .out = Tensor::dense(out.data(), DType::bf16, {kQueries, kHeads, kHeadDim}),
                .kv_starts = Tensor::dense(starts.data() + 2, DType::i32, {2}),
                .kv_format = format,
                .q_starts = Tensor::dense(starts.data(), DType::i32, {2}),
                .max_q_len = kQueries};
        set_keys(codes.data(), DType::u8);
    }
    void set_keys(void* data, DType dtype) {
        call.k = Tensor::dense(data, dtype, {kKeys, kKvHeads, kHeadDim});
        call.v = call.k;
        call.v.data = static_cast<std::byte*>(data) + call.k.num_elements() * dtype_bytes(dtype);
    }
    std::vector<u16> run() {
        const Status status = attention(cpu_context(), {}, call);
        EXPECT_TRUE(status.ok()) << status.message();
        return out;
    }
    std::string error() {
        Prepared prepared;
        return prepare(cpu_context(), call, prepared).message();
    }
};

TEST(KvFormat, CodesAreTheirNumbersTimesTheirHeadsScale) {
    for (const KvFormat format : kCoded) {
        CodedCall coded(format);
        coded.call.k_scale = coded.call.v_scale = Tensor::dense(coded.scales.data(), DType::f32, {2});
        const std::vector<u16> got = coded.run();
        for (std::size_t i = 0; i < coded.numbers.size(); ++i) {
            const float scale = coded.scales[i / CodedCall::kHeadDim % 2];
            coded.numbers[i] = float_to_bf16(bf16_to_float(coded.numbers[i]) * scale);
        }
        coded.set_keys(coded.numbers.data(), DType::bf16);
        coded.call.kv_format = KvFormat::same;
        coded.call.k_scale = coded.call.v_scale = {};
        EXPECT_EQ(got, coded.run()) << kv_format_name(format);
    }
}

TEST(KvFormat, WhatDisagreesIsNamed) {
    CodedCall coded(KvFormat::fp8_e4m3);
    EXPECT_EQ(coded.error(), "");
    coded.call.k_scale = Tensor::dense(coded.scales.data(), DType::f32, {2});
    EXPECT_EQ(coded.error(), "");
    coded.call.k_scale.shape[0] = 3;
    EXPECT_EQ(coded.error(), "attention: k_scale must have 1 element or kv_heads = 2, got 3");
    coded.call.k_scale = Tensor::dense(coded.scales.data(), DType::bf16, {2});
    EXPECT_EQ(coded.error(), "attention: k_scale must be f32, got bf16");
    coded.call.k_scale = {};
    coded.call.v.dtype = DType::bf16;
    EXPECT_EQ(coded.error(), "attention: v must be u8, got bf16");
    coded.call.v.dtype = DType::u8;
    coded.call.kv_format = KvFormat::same;
    EXPECT_EQ(coded.error(), "attention: k must be bf16, got u8");
    coded.set_keys(coded.numbers.data(), DType::bf16);
    coded.call.v_scale = Tensor::dense(coded.scales.data(), DType::f32, {1});
    EXPECT_EQ(coded.error(), "attention: v_scale is for kv_format fp8_e4m3, fp8_e5m2 or nvfp4, got same");
}

// The same of nvfp4: random codes, scales of blocks that are powers of two, and bf16 numbers.
struct PackedCall : CodedCall {
    std::vector<u8> packed, blocks;

    PackedCall() : CodedCall(KvFormat::fp8_e4m3) {
        std::mt19937 random(5);
        for (std::size_t i = 0; i < numbers.size(); ++i) {
            if (i % kKvBlock == 0)
                blocks.push_back(formats::encode(formats::kE4M3, std::exp2(float(random() % 4) - 3)));
            const u8 code = static_cast<u8>(random() & 15);
            if (i % 2 == 0) packed.push_back(0);
            packed.back() = static_cast<u8>(packed.back() | code << i % 2 * 4);
            numbers[i] = float_to_bf16(formats::decode(formats::kE2M1, code) *
                                       formats::decode(formats::kE4M3, blocks.back()));
        }
        call.kv_format = KvFormat::nvfp4;
        call.k = Tensor::dense(packed.data(), DType::u8, {kKeys, kKvHeads, kHeadDim / 2});
        call.v = Tensor::dense(packed.data() + packed.size() / 2, DType::u8, {kKeys, kKvHeads, kHeadDim / 2});
        call.k_block_scales = Tensor::dense(blocks.data(), DType::u8, {kKeys, kKvHeads, kHeadDim / kKvBlock});
        call.v_block_scales = call.k_block_scales;
        call.v_block_scales.data = blocks.data() + blocks.size() / 2;
    }
};

TEST(KvFormat, PackedCodesAreTheirNumbersTimesTheirBlocksAndHeadsScale) {
    PackedCall coded;
    coded.call.k_scale = coded.call.v_scale = Tensor::dense(coded.scales.data(), DType::f32, {2});
    const std::vector<u16> got = coded.run();
    for (std::size_t i = 0; i < coded.numbers.size(); ++i) {
        const float scale = coded.scales[i / CodedCall::kHeadDim % 2];
        coded.numbers[i] = float_to_bf16(bf16_to_float(coded.numbers[i]) * scale);
    }
    coded.set_keys(coded.numbers.data(), DType::bf16);
    coded.call.kv_format = KvFormat::same;
    coded.call.k_scale = coded.call.v_scale = coded.call.k_block_scales = coded.call.v_block_scales = {};
    EXPECT_EQ(got, coded.run());
}

TEST(KvFormat, WhatDisagreesOfPackedCodesIsNamed) {
    PackedCall coded;
    EXPECT_EQ(coded.error(), "");
    coded.call.k_block_scales.shape[2] = 2;
    EXPECT_EQ(coded.error(),
              "attention: k_block_scales must have a scale for 16 columns, 3 for head_dim = 48, got 2");
    coded.call.k_block_scales = {};
    EXPECT_NE(coded.error().find("attention: k_block_scales"), std::string::npos) << coded.error();
    coded = PackedCall();
    coded.call.k.shape[2] = coded.call.v.shape[2] = 48;
    EXPECT_EQ(coded.error(),
              "attention: nvfp4 has two codes in a byte: expected 24 bytes for head_dim = 48, got 48");
    CodedCall other(KvFormat::fp8_e4m3);
    other.call.v_block_scales = PackedCall().call.v_block_scales;
    EXPECT_EQ(other.error(),
              "attention: k_block_scales and v_block_scales are for kv_format nvfp4, got fp8_e4m3");

    std::vector<u16> values(16);
    std::vector<u8> pages(16);
    i32 zero = 0;
    const Tensor token = Tensor::dense(values.data(), DType::bf16, {1, 1, 16});
    const Tensor page = Tensor::dense(pages.data(), DType::u8, {1, 1, 1, 16});
    const KvAppend append{.k = token,
                          .v = token,
                          .sequences = Tensor::dense(&zero, DType::i32, {1}),
                          .positions = Tensor::dense(&zero, DType::i32, {1}),
                          .page_table = Tensor::dense(&zero, DType::i32, {1, 1}),
                          .k_pages = page,
                          .v_pages = page,
                          .kv_format = KvFormat::nvfp4};
    Prepared prepared;
    EXPECT_EQ(prepare(cpu_context(), append, prepared).message(),
              "kv_append: kv_format nvfp4 is only read: quantize makes its codes and scales, and kv_append "
              "takes them into pages as tensors of 16-bit elements");
}

TEST(KvFormat, RowsAreOfOneFormat) {
    EXPECT_EQ(refusal("attention", "attention.decode.bf16.d128", "h200", {{"kv_format", "fp8_e4m3"}}),
              "fp8 e4m3: needs false, got true");
    EXPECT_EQ(refusal("attention", "attention.decode.bf16.e5m2.d128", "h200", {{"kv_format", "fp8_e4m3"}}),
              "fp8 e5m2: needs true, got false");
    EXPECT_EQ(refusal("attention", "attention.decode.bf16.e4m3.d128", "h200", {{"head_dim", "72"}}),
              "fp8 e4m3: needs true, got false");
    EXPECT_EQ(refusal("attention", "attention.decode.bf16.e4m3.d128", "h200",
                      {{"head_dim", "72"}, {"kv_format", "fp8_e4m3"}}),
              "head dim: needs a multiple of 16, got 72");
    EXPECT_EQ(refusal("kv_append", "kv_append.portable.t128v1", "h200", {{"kv_format", "fp8_e5m2"}}),
              "codes: needs false, got true");
}

TEST(KvFormat, EveryShapeHasARow) {
    for (const char* target : {"a100", "a10", "rtx-4090", "h200", "b200", "rtx-pro-6000", "cpu"}) {
        for (const char* dtype : {"bf16", "f16"}) {
            for (const char* format : {"fp8_e4m3", "fp8_e5m2"}) {
                for (const char* head_dim : {"1", "33", "64", "96", "128", "200", "256"}) {
                    for (const char* alignment : {"1", "16"}) {
                        const FieldTexts fields = {{"dtype", dtype},
                                                   {"kv_format", format},
                                                   {"head_dim", head_dim},
                                                   {"alignment_bytes", alignment}};
                        EXPECT_NE(chosen("attention", target, fields), "") << target << " " << head_dim;
                        EXPECT_NE(chosen("kv_append", target, fields), "") << target << " " << head_dim;
                    }
                }
            }
        }
    }
    for (const char* target : {"a100", "rtx-4090", "h200", "rtx-pro-6000", "cpu"}) {
        for (const char* dtype : {"bf16", "f16"}) {
            for (const char* head_dim : {"16", "64", "80", "128", "256"}) {
                for (const char* alignment : {"1", "16"}) {
                    const FieldTexts fields = {{"dtype", dtype},
                                               {"kv_format", "nvfp4"},
                                               {"head_dim", head_dim},
                                               {"alignment_bytes", alignment}};
                    EXPECT_NE(chosen("attention", target, fields), "") << target << " " << head_dim;
                }
            }
        }
    }
    EXPECT_EQ(
        refusal("attention", "attention.host.bf16", "cpu", {{"kv_format", "nvfp4"}, {"head_dim", "72"}}),
        "head dim: needs a multiple of 16, got 72");
    EXPECT_EQ(
        chosen("attention", "h200", {{"sequences", "64"}, {"max_kv_len", "8192"}, {"kv_format", "nvfp4"}}),
        "attention.decode.bf16.nvfp4.d128");
    for (const char* target : {"a100", "rtx-4090", "h200", "b200", "rtx-5090"}) {
        for (const char* head_dim : {"64", "128"}) {
            const FieldTexts prompt = {{"max_q_len", "2048"}, {"kv_format", "nvfp4"}, {"head_dim", head_dim}};
            EXPECT_EQ(chosen("attention", target, prompt), "attention.portable.bf16.nvfp4.d128.r128")
                << target << " " << head_dim;
        }
    }
    const FieldTexts decode = {{"sequences", "64"}, {"max_kv_len", "8192"}, {"kv_format", "fp8_e4m3"}};
    EXPECT_EQ(chosen("attention", "h200", decode), "attention.decode.bf16.e4m3.d128");
    EXPECT_EQ(chosen("attention", "h200", {{"max_q_len", "2048"}, {"kv_format", "fp8_e4m3"}}),
              "attention.portable.bf16.e4m3.d128.r128");
    EXPECT_EQ(chosen("attention", "h200", {{"max_kv_len", "1024"}, {"kv_format", "fp8_e4m3"}}),
              "attention.cluster.bf16.e4m3.d128");
    EXPECT_EQ(chosen("kv_append", "h200", {{"kv_format", "fp8_e5m2"}}), "kv_append.coded.t128v1");
}

}  // namespace
}  // namespace warpwright
