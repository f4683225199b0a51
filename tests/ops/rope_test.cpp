// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/rope.h"

#include <cmath>

#include "ops/check_test.h"

// The kernel's sine and cosine are plain fp32 arithmetic: the host can run them.
#define __device__
#include "tile/sincos.cuh"
#undef __device__

namespace warpwright {
namespace {

constexpr const char* kOp = "rope";

TEST(Rope, AgreesWithItsOracle) {
    expect_check_passes(kOp);
}

TEST(Rope, RefusesWithTheReason) {
    EXPECT_EQ(refusal(kOp, "rope.portable.bf16.t256", "h200", {{"rotary_dim", "72"}}),
              "rotary dim: needs a multiple of 16, got 72");
    EXPECT_EQ(refusal(kOp, "rope.portable.bf16.t256", "h200", {{"head_dim", "1024"}, {"rotary_dim", "1024"}}),
              "rotary dim: needs at most 512, got 1024");
    EXPECT_EQ(refusal(kOp, "rope.portable.f16.t256", "h200", {{"dtype", "f16"}, {"alignment_bytes", "8"}}),
              "alignment: needs a multiple of 16, got 8");
    EXPECT_EQ(refusal(kOp, "rope.portable.f16.any", "h200", {}), "dtype: needs f16, got bf16");
    EXPECT_EQ(refusal(kOp, "rope.portable.bf16.any", "h200", {{"page_size", "24"}}),
              "page size: needs a power of two, got 24");
    EXPECT_EQ(refusal(kOp, "rope.portable.bf16.t256", "h200",
                      {{"head_dim", "72"}, {"rotary_dim", "32"}, {"page_size", "16"}}),
              "head dim: needs a multiple of 16, got 72");
    EXPECT_EQ(refusal(kOp, "rope.portable.bf16.t256", "h200", {{"value_dim", "72"}, {"page_size", "16"}}),
              "value dim: needs a multiple of 16, got 72");
    EXPECT_EQ(
        refusal(kOp, "rope.portable.bf16.t256", "h200", {{"page_size", "16"}, {"kv_format", "fp8_e4m3"}}),
        refusal("kv_append", "kv_append.portable.any", "h200", {{"kv_format", "fp8_e4m3"}}));
    EXPECT_EQ(refusal(kOp, "rope.portable.bf16.codes.t256", "h200", {{"page_size", "16"}}),
              refusal("kv_append", "kv_append.coded.any", "h200", {}));
}

TEST(Rope, ChoosesTheRowThatFits) {
    EXPECT_EQ(chosen(kOp, "h200", {}), "rope.portable.bf16.t256");
    EXPECT_EQ(chosen(kOp, "dgx-spark", {{"rotary_dim", "24"}, {"interleaved", "true"}}),
              "rope.portable.bf16.any");
    EXPECT_EQ(chosen(kOp, "cpu", {{"dtype", "f16"}}), "rope.host.f16");
    EXPECT_EQ(chosen(kOp, "a100", {{"page_size", "16"}, {"kv_format", "fp8_e5m2"}}),
              "rope.portable.bf16.codes.t256");
    EXPECT_EQ(chosen(kOp, "h200", {{"page_size", "16"}, {"kv_format", "fp8_e4m3"}, {"rotary_dim", "24"}}),
              "rope.portable.bf16.codes.any");
}

TEST(Rope, RefusesMoreFrequenciesThanAHeadHolds) {
    float data[256] = {};
    const Rope call{.q = Tensor::dense(data, DType::bf16, {1, 2, 64}),
                    .k = Tensor::dense(data, DType::bf16, {1, 1, 64}),
                    .positions = Tensor::dense(data, DType::i32, {1}),
                    .frequency = Tensor::dense(data, DType::f32, {33})};
    Prepared prepared;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(),
              "rope: frequency has 33 pairs, head_dim 64 holds at most 32");
}

TEST(Rope, RefusesAPlaceForMoreThanTurns) {
    float data[256] = {};
    const Rope call{.q = Tensor::dense(data, DType::bf16, {1, 2, 64}),
                    .k = Tensor::dense(data, DType::bf16, {1, 1, 64}),
                    .positions = Tensor::dense(data, DType::i32, {1}),
                    .frequency = Tensor::dense(data, DType::f32, {16}),
                    .q_out = Tensor::dense(data, DType::bf16, {1, 2, 64})};
    Prepared prepared;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(),
              "rope: q_out must have 32 columns, those that turn, got 64");
}

TEST(Rope, RefusesPagesThatAreNotWhole) {
    float data[256] = {};
    const Rope call{.q = Tensor::dense(data, DType::bf16, {1, 2, 64}),
                    .k = Tensor::dense(data, DType::bf16, {1, 1, 64}),
                    .positions = Tensor::dense(data, DType::i32, {1}),
                    .frequency = Tensor::dense(data, DType::f32, {32}),
                    .v = Tensor::dense(data, DType::bf16, {1, 1, 64})};
    Prepared prepared;
    EXPECT_EQ(prepare(cpu_context(), call, prepared).message(),
              "rope: v, sequences, page_table and v_pages: expected k_pages too");
    Rope keys = call;
    keys.v = {};
    keys.k_pages = Tensor::dense(data, DType::bf16, {1, 4, 1, 64});
    EXPECT_FALSE(prepare(cpu_context(), keys, prepared).ok());
    Rope codes = call;
    codes.v = {};
    codes.kv_format = KvFormat::fp8_e4m3;
    EXPECT_EQ(prepare(cpu_context(), codes, prepared).message(),
              "rope: kv_format fp8_e4m3: expected k_pages too");
    codes.v = call.v;
    codes.sequences = Tensor::dense(data, DType::i32, {1});
    codes.page_table = Tensor::dense(data, DType::i32, {1, 1});
    codes.k_pages = codes.v_pages = Tensor::dense(data, DType::bf16, {1, 4, 1, 64});
    EXPECT_EQ(prepare(cpu_context(), codes, prepared).message(), "rope: k_pages must be u8, got bf16");
    codes.k_pages.dtype = codes.v_pages.dtype = DType::u8;
    codes.k_scale = Tensor::dense(data, DType::f32, {2});
    EXPECT_EQ(prepare(cpu_context(), codes, prepared).message(),
              "rope: k_scale must have 1 element or kv_heads = 1, got 2");
}

struct Golden {
    const char* name;
    double theta;
    int rotary_dim;
    RopeScaling scaling;
    double magnitude;
    std::vector<float> frequency;
    i64 context_tokens = 0;
};

// tests/ops/rope_goldens.py makes them with transformers itself.
const Golden kGoldens[] = {
#include "ops/rope_goldens.inc"
};

TEST(RopeFrequencies, EqualTransformers) {
    for (const Golden& golden : kGoldens) {
        SCOPED_TRACE(golden.name);
        const RopeFrequencies ours =
            rope_frequencies(golden.theta, golden.rotary_dim, golden.scaling, golden.context_tokens);
        EXPECT_FLOAT_EQ(ours.magnitude, static_cast<float>(golden.magnitude));
        ASSERT_EQ(ours.frequency.size(), golden.frequency.size());
        for (std::size_t i = 0; i < ours.frequency.size(); ++i) {
            // Four units in the last place: theirs is a chain of fp32 operations, pow among them.
            EXPECT_FLOAT_EQ(ours.frequency[i], golden.frequency[i]) << "pair " << i;
        }
    }
}

TEST(RopeFrequencies, WithoutScalingArePowersOfTheta) {
    const RopeFrequencies ours = rope_frequencies(10000, 8, {});
    EXPECT_EQ(ours.magnitude, 1);
    ASSERT_EQ(ours.frequency.size(), 4u);
    EXPECT_EQ(ours.frequency[0], 1);
    EXPECT_FLOAT_EQ(ours.frequency[1], 0.1f);
    EXPECT_FLOAT_EQ(ours.frequency[3], 0.001f);
}

// The bound of tile/sincos.cuh, over the angles that positions produce and the worst ones nearby: multiples
// of pi/2, where a reduction loses its digits.
TEST(RopeAngles, SineAndCosineHoldTheirBound) {
    double worst = 0;
    const auto probe = [&](float angle) {
        const SinCos got = sin_cos(angle);
        worst = std::max({worst, std::abs(got.sine - std::sin(double{angle})),
                          std::abs(got.cosine - std::cos(double{angle}))});
    };
    for (int i = 0; i < 1000000; ++i) {
        const float step = static_cast<float>(i);
        probe(step);
        probe(-step * 0.25f);
        probe(step * 16.777216f);
        probe(static_cast<float>(i * 1.5707963267948966));
    }
    EXPECT_LE(worst, 1.2e-7);
    EXPECT_EQ(sin_cos(0).sine, 0);
    EXPECT_EQ(sin_cos(0).cosine, 1);
}

}  // namespace
}  // namespace warpwright
