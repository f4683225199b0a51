// SPDX-License-Identifier: Apache-2.0
// moe_experts with quantised weights: every format, both layouts and routings of every kind against the
// definition in fp64 by the weights that the codes stand for; on the CPU and on an emulated GPU.
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "formats/quantise.h"
#include "kernels/host_math.h"
#include "kernels/quantized_gemm/pack.h"
#include "ops/check_test.h"
#include "ops/moe_plan.h"
#include "warpwright/ops/moe_experts.h"
#include "warpwright/ops/moe_permute.h"

namespace warpwright {
namespace {

using formats::Code;
using formats::QuantizedMatrix;
using formats::ScaleCode;

constexpr i64 kHidden = 128, kWidth = 96;

struct Case {
    WeightFormat format = WeightFormat::int4;
    i64 tokens = 5, top_k = 2, experts = 8;
    bool zeros = false, order = false, bias = false, base = false, limited = false;  // as gpt-oss gates
    DType dtype = DType::bf16;
    bool batch_invariant = false;
};

// A weight of every expert: plain, and as on the device.
struct Weight {
    std::vector<float> values;  // [experts, n, k]
    PackedWeight first;         // of expert 0
    std::vector<u8> data, zeros;
    std::vector<std::byte> scales;
    std::vector<i32> order;
    std::vector<float> global_scales;
};

formats::Recipe recipe_of(const Case& c, i64 k) {
    formats::Recipe recipe{.group_columns = k == kHidden ? 64 : 32, .symmetric = !c.zeros};
    switch (c.format) {
        case WeightFormat::int4: recipe.code = Code::u4; break;
        case WeightFormat::int8: recipe.code = Code::u8; break;
        case WeightFormat::fp8_e4m3: recipe.code = Code::e4m3; break;
        case WeightFormat::mxfp4:
            recipe.code = Code::e2m1, recipe.group_columns = 32, recipe.scale_code = ScaleCode::e8m0;
            break;
        case WeightFormat::nvfp4:
            recipe.code = Code::e2m1, recipe.group_columns = 16, recipe.scale_code = ScaleCode::e4m3;
            break;
    }
    return recipe;
}

class Layer {
public:
    explicit Layer(const Case& c) : c_(c), random_(static_cast<u64>(c.tokens * 100 + c.experts)) {
        gate_ = weight(kWidth, kHidden), up_ = weight(kWidth, kHidden), down_ = weight(kHidden, kWidth);
        x_ = reals(c.tokens * kHidden, 1);
        if (c.bias) {
            gate_bias_ = reals(c.experts * kWidth, 0.5F), up_bias_ = reals(c.experts * kWidth, 0.5F);
            down_bias_ = reals(c.experts * kHidden, 0.5F);
        }
        if (c.base) base_ = reals(c.tokens * kHidden, 1);
        for (i64 slot = 0; slot < c.tokens * c.top_k; ++slot) {
            const i64 each = c.experts / c.top_k;  // a token's choices differ
            ids.push_back(static_cast<i32>(slot % c.top_k * each + static_cast<i64>(random_() % each)));
            weights_.push_back(std::abs(normal_(random_)));
        }
    }

    // On a device; the output begins as NaN.
    Status prepare_on(Context& context, Prepared& prepared) {
        buffers_.clear();
        const i64 tokens = c_.tokens, experts = c_.experts;
        call.x = put(context, x_, {tokens, kHidden});
        call.ids = upload(context, ids, DType::i32, {tokens, c_.top_k});
        call.weights = upload(context, weights_, DType::f32, {tokens, c_.top_k});
        call.quantized_gate = put(context, gate_, kWidth, kHidden);
        call.quantized_up = put(context, up_, kWidth, kHidden);
        call.quantized_down = put(context, down_, kHidden, kWidth);
        call.gate_bias = put(context, gate_bias_, {experts, kWidth});
        call.up_bias = put(context, up_bias_, {experts, kWidth});
        call.down_bias = put(context, down_bias_, {experts, kHidden});
        call.base = put(context, base_, {tokens, kHidden});
        call.out = put(context, std::vector<float>(x_.size(), std::nanf("")), {tokens, kHidden});
        call.weights_are_constant = true;
        if (c_.limited) call.limit = 0.8F, call.alpha = 1.702F, call.up_offset = 1;
        const i64 bytes =
            moe_experts_workspace_bytes(tokens, c_.top_k, experts, kHidden, kWidth, true, c_.limited);
        call.workspace =
            upload(context, std::vector<u8>(static_cast<std::size_t>(bytes), 0xff), DType::u8, {bytes});
        prepared.batch_invariant = c_.batch_invariant;
        WW_TRY(context.device().synchronize({}));
        return prepare(context, call, prepared);
    }

    void expect_agrees(Context& context) {
        Prepared prepared;
        const Status status = prepare_on(context, prepared);
        ASSERT_TRUE(status.ok()) << status.message();
        ASSERT_TRUE(prepared.launch(context.device(), {}).ok());
        std::vector<u16> bits(x_.size());
        ASSERT_TRUE(context.device().copy_out(bits.data(), call.out.data, bits.size() * 2, {}).ok());
        std::vector<float> got;
        for (std::size_t i = 0; i < bits.size(); ++i)
            got.push_back(load_float(bits.data(), c_.dtype, static_cast<i64>(i)));
        const std::vector<double> exact = expected<double>(false);
        std::vector<float> reference = expected<float>(true);
        for (float& value : reference) value = round_to(c_.dtype, value);
        const Comparison comparison = compare(got, exact, reference, largest(exact));
        EXPECT_TRUE(comparison.ok) << facts_of(c_.format).name << ", " << c_.tokens
                                   << " tokens: " << comparison.text;
    }

    MoeExperts call;
    std::vector<i32> ids;

private:
    template <class Float>
    Float limited(Float gate, Float up) const {
        const Float limit = call.limit, alpha = call.alpha;
        gate = std::min(gate, limit), up = std::clamp(up, -limit, limit);
        return activate<Float>(call.activation, alpha * gate) / alpha * (up + Float(call.up_offset));
    }
    std::vector<float> reals(i64 count, float scale) {
        std::vector<float> values;
        for (i64 i = 0; i < count; ++i) values.push_back(round_to(c_.dtype, scale * normal_(random_)));
        return values;
    }

    Weight weight(i64 n, i64 k) {
        Weight all;
        for (i64 expert = 0; expert < c_.experts; ++expert) {
            std::vector<float> values(static_cast<std::size_t>(n * k));
            const float scale = 0.5F / std::sqrt(static_cast<float>(k)) * static_cast<float>(1 + expert % 3);
            for (float& value : values) value = scale * normal_(random_);
            QuantizedMatrix matrix;
            formats::quantise_rows(recipe_of(c_, k), values.data(), n, k,
                                   formats::largest_magnitude(values.data(), n * k), matrix);
            for (i64 i = 0; i < k && c_.order; ++i)
                matrix.column_group.push_back(static_cast<i32>(i / matrix.group_columns));
            std::shuffle(matrix.column_group.begin(), matrix.column_group.end(), random_);
            formats::dequantise(matrix, values.data());
            auto packed = pack_weight(matrix);
            EXPECT_TRUE(packed.ok()) << packed.status().message();
            const auto append = [](auto& to, const auto& from) {
                to.insert(to.end(), from.begin(), from.end());
            };
            append(all.values, values);
            append(all.data, packed->data), append(all.zeros, packed->zeros);
            append(all.scales, packed->scales), append(all.order, packed->order);
            all.global_scales.push_back(packed->global_scale);
            if (expert == 0) all.first = std::move(*packed);
            EXPECT_EQ(all.first.scale_type, expert == 0 ? all.first.scale_type : packed->scale_type);
        }
        return all;
    }

    template <class T>
    Tensor upload(Context& context, const std::vector<T>& values, DType type,
                  std::initializer_list<i64> shape) {
        if (values.empty()) return {};
        const std::size_t bytes = values.size() * sizeof(T);
        auto buffer = Buffer::allocate(context.shared_device(), bytes);
        EXPECT_TRUE(buffer.ok()) << buffer.status().message();
        EXPECT_TRUE(context.device().copy_in(buffer->data(), values.data(), bytes, {}).ok());
        EXPECT_TRUE(context.device().synchronize({}).ok());
        buffers_.push_back(std::move(*buffer));
        return Tensor::dense(buffers_.back().data(), type, shape);
    }
    Tensor put(Context& context, const std::vector<float>& values, std::initializer_list<i64> shape) {
        std::vector<u16> bits(values.size());
        for (std::size_t i = 0; i < values.size(); ++i)
            store_float(bits.data(), c_.dtype, static_cast<i64>(i), values[i]);
        return upload(context, bits, c_.dtype, shape);
    }
    QuantizedWeight put(Context& context, const Weight& w, i64 n, i64 k) {
        QuantizedWeight b{
            .format = w.first.format, .groups = c_.experts, .n = n, .k = k, .group = w.first.group};
        const i64 scales = c_.experts * packed_scales(n, k, b.group);
        b.data = upload(context, w.data, DType::u8, {static_cast<i64>(w.data.size())});
        b.scales = upload(context, w.scales, w.first.scale_type, {scales});
        b.zeros = upload(context, w.zeros, DType::u8, {scales});
        b.order = upload(context, w.order, DType::i32, {c_.experts * k});
        b.global_scales = upload(context, w.global_scales, DType::f32, {c_.experts});
        return b;
    }

    template <class Float>
    std::vector<Float> expected(bool rounds) const {
        const auto rounded = [&](Float value) {
            return rounds ? Float(round_to(c_.dtype, static_cast<float>(value))) : value;
        };
        const auto product = [](const std::vector<float>& w, const std::vector<float>& bias, i64 expert,
                                i64 n, i64 rows, i64 k, const auto* a) {
            Float sum = bias.empty() ? 0 : Float(bias[expert * rows + n]);
            for (i64 i = 0; i < k; ++i) sum += Float(a[i]) * Float(w[(expert * rows + n) * k + i]);
            return sum;
        };
        std::vector<Float> result(base_.begin(), base_.end()), middle(kWidth);
        result.resize(x_.size(), 0);
        for (i64 slot = 0; slot < c_.tokens * c_.top_k; ++slot) {
            const i64 expert = ids[slot], token = slot / c_.top_k;
            if (expert < 0 || expert >= c_.experts) continue;
            const float* x = x_.data() + token * kHidden;
            for (i64 w = 0; w < kWidth; ++w) {
                const Float gate = rounded(product(gate_.values, gate_bias_, expert, w, kWidth, kHidden, x));
                const Float up = product(up_.values, up_bias_, expert, w, kWidth, kHidden, x);
                middle[w] = rounded(c_.limited ? limited(gate, rounded(up))
                                               : activate<Float>(call.activation, gate) * up);
            }
            for (i64 h = 0; h < kHidden; ++h) {
                const Float sum =
                    product(down_.values, down_bias_, expert, h, kHidden, kWidth, middle.data());
                result[token * kHidden + h] += Float(weights_[slot]) * rounded(sum);
            }
        }
        return result;
    }

    const Case c_;
    std::mt19937_64 random_;
    std::normal_distribution<float> normal_;
    Weight gate_, up_, down_;
    std::vector<float> x_, gate_bias_, up_bias_, down_bias_, base_, weights_;
    std::vector<Buffer> buffers_;
};

class QuantizedExperts : public testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        auto opened = Context::open(GetParam());
        ASSERT_TRUE(opened.ok()) << opened.status().message();
        context = *opened;
    }
    void expect_agrees(const Case& c) { Layer(c).expect_agrees(*context); }

    std::shared_ptr<Context> context;
};

TEST_P(QuantizedExperts, EveryFormatInEveryWay) {
    for (int format = 0; format < kNumWeightFormats; ++format) {
        const auto of = static_cast<WeightFormat>(format);
        expect_agrees({.format = of, .tokens = 3});
        expect_agrees({.format = of, .tokens = 11});
        expect_agrees({.format = of, .tokens = 27});
        expect_agrees({.format = of, .tokens = 11, .batch_invariant = true});
        expect_agrees({.format = of, .tokens = 3, .bias = true, .limited = true});
    }
}

TEST_P(QuantizedExperts, GateAndUpOfTwoForms) {
    Layer layer({.tokens = 4, .zeros = true});
    Prepared prepared;
    ASSERT_TRUE(layer.prepare_on(*context, prepared).ok());
    EXPECT_EQ(prepared.steps.size(), 3u);
    layer.call.quantized_gate.zeros = {};
    Prepared other;
    ASSERT_TRUE(prepare(*context, layer.call, other).ok());
    EXPECT_EQ(other.steps.size(), 6u);
}

TEST_P(QuantizedExperts, LimitsAreAppliedByChoicesOrApart) {
    for (const auto& [tokens, launches] : {std::pair<i64, std::size_t>{6, 3}, {200, 7}}) {
        Layer layer({.format = WeightFormat::mxfp4, .tokens = tokens, .limited = true});
        Prepared prepared;
        ASSERT_TRUE(layer.prepare_on(*context, prepared).ok());
        EXPECT_EQ(prepared.steps.size(), launches);
    }
    expect_agrees({.format = WeightFormat::mxfp4, .tokens = 200, .limited = true});
}

TEST_P(QuantizedExperts, FewAndManyTokens) {
    for (const i64 tokens : {1, 33, 200}) expect_agrees({.tokens = tokens, .base = tokens == 33});
    EXPECT_FALSE(moe_plan({.tokens = 200, .top_k = 2, .experts = 8, .quantized = true}).masked);
}

TEST_P(QuantizedExperts, WhatAWeightMayHave) {
    for (const bool batch_invariant : {false, true}) {
        expect_agrees({.zeros = true, .bias = true, .batch_invariant = batch_invariant});
        expect_agrees({.order = true, .batch_invariant = batch_invariant});
        expect_agrees({.format = WeightFormat::mxfp4,
                       .bias = true,
                       .limited = true,
                       .batch_invariant = batch_invariant});
    }
    expect_agrees({.format = WeightFormat::int8, .dtype = DType::f16});
}

TEST_P(QuantizedExperts, RoutingsOfEveryKind) {
    for (const bool batch_invariant : {false, true}) {
        Layer one({.tokens = 9, .top_k = 1, .batch_invariant = batch_invariant});
        std::ranges::fill(one.ids, 5);
        one.expect_agrees(*context);
        Layer nowhere({.tokens = 3, .base = true, .batch_invariant = batch_invariant});
        std::ranges::fill(nowhere.ids, -1);
        nowhere.expect_agrees(*context);
        Layer partly({.tokens = 6, .batch_invariant = batch_invariant});  // no expert's number: none
        for (std::size_t slot = 0; slot < partly.ids.size(); slot += 3) partly.ids[slot] = slot % 2 ? -7 : 8;
        partly.expect_agrees(*context);
    }
}

INSTANTIATE_TEST_SUITE_P(Devices, QuantizedExperts,
                         testing::Values("cpu", "emulated:a100", "emulated:rtx-5090"), [](const auto& info) {
                             std::string name = info.param;
                             std::replace_if(
                                 name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
                             return name;
                         });

TEST(QuantizedExpertsCall, RefusesWithTheReason) {
    const auto refused = [](const auto& change) {
        Layer layer({});
        Prepared prepared;
        EXPECT_TRUE(layer.prepare_on(cpu_context(), prepared).ok());
        EXPECT_EQ(prepared.steps.size(), 3u);
        change(layer.call);
        Prepared again;
        const Status status = prepare(cpu_context(), layer.call, again);
        EXPECT_FALSE(status.ok());
        return status.message();
    };
    EXPECT_EQ(refused([](MoeExperts& call) { call.gate = call.x; }),
              "moe_experts: gate, up and down are given as numbers and as codes");
    EXPECT_EQ(refused([](MoeExperts& call) { call.quantized_up = {}; }), "moe_experts: up is null");
    EXPECT_EQ(refused([](MoeExperts& call) { call.quantized_down.groups = 7; }),
              "moe_experts: down: dimension 0 (experts) is 7, but gate has 8");
    EXPECT_EQ(refused([](MoeExperts& call) { call.quantized_up.k = 64; }),
              "moe_experts: up: dimension 2 (hidden) is 64, but x has 128");
    EXPECT_EQ(refused([](MoeExperts& call) { call.quantized_down.scales.shape[0] = 5; }),
              "moe_experts: down: quantized_experts: b.scales must have 4096 elements, got 5");
    EXPECT_EQ(refused([](MoeExperts& call) { call.workspace.shape[0] = 100; }).substr(0, 32),
              "moe_experts: workspace: expected");
}

TEST(QuantizedExpertsCall, NoTokensPrepareNothing) {
    Layer layer({});
    Prepared prepared, none;
    ASSERT_TRUE(layer.prepare_on(cpu_context(), prepared).ok());
    for (Tensor* tensor : {&layer.call.x, &layer.call.ids, &layer.call.weights, &layer.call.out})
        tensor->shape[0] = 0;
    EXPECT_TRUE(prepare(cpu_context(), layer.call, none).ok());
    EXPECT_TRUE(none.steps.empty());
}

TEST(QuantizedExpertsCall, FewTokensGoByTheirChoices) {
    const auto plan = [](MoeSizes sizes) {
        sizes.quantized = sizes.one_form = true;
        return moe_plan(sizes);
    };
    EXPECT_TRUE(plan({.tokens = 1}).few);
    EXPECT_FALSE(plan({.tokens = 1}).sums);
    EXPECT_TRUE(plan({.tokens = 32}).few);
    EXPECT_FALSE(plan({.tokens = 33}).few);                            // choices
    EXPECT_FALSE(plan({.tokens = 27, .top_k = 2, .experts = 8}).few);  // of each expert
    EXPECT_TRUE(plan({.tokens = 27, .top_k = 2, .experts = 8}).masked);
    EXPECT_FALSE(plan({.tokens = 8, .batch_invariant = true}).few);
    EXPECT_FALSE(plan({.tokens = 8, .width = 772}).few);
    EXPECT_FALSE(moe_plan({.tokens = 8, .quantized = true}).few);
    EXPECT_EQ(plan({.tokens = 32}).rows, 256);
}

TEST(QuantizedExpertsCall, PlacesAreAsFewAsTheLayoutsAllow) {
    const auto plan = [](i64 tokens, bool batch_invariant = false) {
        return moe_plan({.tokens = tokens, .batch_invariant = batch_invariant, .quantized = true});
    };
    EXPECT_EQ(plan(1).rows, 128);  // top 8 of 128 experts
    EXPECT_EQ(plan(16).rows, 128 * 16);
    EXPECT_EQ(plan(1, true).rows, moe_rows(8, 128, 128));
    EXPECT_FALSE(plan(4096).masked);
    EXPECT_EQ(plan(4096).rows, moe_rows(4096 * 8, 128, 128));
    EXPECT_EQ(plan(1).expected_groups, 8);
    i64 before = 0;  // a workspace is enough for fewer tokens
    for (i64 tokens = 1; tokens < 600; ++tokens) {
        const i64 bytes = moe_experts_workspace_bytes(tokens, 8, 128, 2048, 768, true);
        EXPECT_GE(bytes, before) << tokens;
        before = bytes;
    }
}

}  // namespace
}  // namespace warpwright
