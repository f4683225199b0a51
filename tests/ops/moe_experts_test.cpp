// SPDX-License-Identifier: Apache-2.0
// moe_experts: both of its ways against the definition in fp64, routings of every kind, refusals.
#include "warpwright/ops/moe_experts.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/host_math.h"
#include "ops/check_test.h"
#include "ops/moe_plan.h"
#include "warpwright/ops/moe_permute.h"

namespace warpwright {
namespace {

struct Layer {
    i64 tokens, top_k, experts, hidden = 24, width = 40;
    std::vector<u16> x, gate_up, down, gate_up_bias, down_bias, out;
    std::vector<i32> ids;
    std::vector<float> weights;
    std::vector<std::byte> space;
    MoeExperts call;

    Layer(i64 num_tokens, i64 num_choices, i64 num_experts, bool bias = false)
        : tokens(num_tokens), top_k(num_choices), experts(num_experts) {
        std::mt19937_64 random(static_cast<u64>(tokens * 1000 + experts));
        std::normal_distribution<float> normal;
        const auto fill = [&](std::vector<u16>& values, i64 count, float scale) {
            for (i64 i = 0; i < count; ++i) values.push_back(float_to_bf16(scale * normal(random)));
        };
        fill(x, tokens * hidden, 1);
        fill(gate_up, experts * 2 * width * hidden, 0.3F);
        fill(down, experts * hidden * width, 0.2F);
        out.resize(static_cast<std::size_t>(tokens * hidden), 0x7fc0);
        for (i64 t = 0; t < tokens; ++t) {
            for (i64 j = 0; j < top_k; ++j) {
                ids.push_back(static_cast<i32>((random() % static_cast<u64>(experts / top_k)) * top_k + j));
                weights.push_back(std::abs(normal(random)));
            }
        }
        const auto tensor = [](std::vector<u16>& values, std::initializer_list<i64> shape) {
            return Tensor::dense(values.data(), DType::bf16, shape);
        };
        call.x = tensor(x, {tokens, hidden});
        call.gate = tensor(gate_up, {experts, 2 * width, hidden});
        call.gate.shape[1] = width;
        call.up = call.gate;
        call.up.data = gate_up.data() + width * hidden;
        call.down = tensor(down, {experts, hidden, width});
        call.out = tensor(out, {tokens, hidden});
        call.ids = Tensor::dense(ids.data(), DType::i32, {tokens, top_k});
        call.weights = Tensor::dense(weights.data(), DType::f32, {tokens, top_k});
        if (bias) {
            fill(gate_up_bias, experts * 2 * width, 1);
            fill(down_bias, experts * hidden, 1);
            call.gate_bias = tensor(gate_up_bias, {experts, 2 * width});
            call.gate_bias.shape[1] = width;
            call.up_bias = call.gate_bias;
            call.up_bias.data = gate_up_bias.data() + width;
            call.down_bias = tensor(down_bias, {experts, hidden});
        }
        const i64 bytes = moe_experts_workspace_bytes(tokens, top_k, experts, hidden, width);
        space.resize(static_cast<std::size_t>(bytes) + 16);
        auto* aligned =
            reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(space.data()) + 15) / 16 * 16);
        call.workspace = Tensor::dense(aligned, DType::u8, {bytes});
    }

    template <class Float>
    std::vector<Float> expected(bool rounds) const {
        std::vector<Float> result(static_cast<std::size_t>(tokens * hidden), 0);
        std::vector<Float> middle(static_cast<std::size_t>(width));
        const auto at = [](const std::vector<u16>& values, i64 i) { return Float(bf16_to_float(values[i])); };
        for (i64 slot = 0; slot < tokens * top_k; ++slot) {
            const i64 expert = ids[slot], token = slot / top_k;
            if (expert < 0 || expert >= experts) continue;
            for (i64 w = 0; w < width; ++w) {
                Float gate = gate_up_bias.empty() ? 0 : at(gate_up_bias, expert * 2 * width + w);
                Float up = gate_up_bias.empty() ? 0 : at(gate_up_bias, (expert * 2 + 1) * width + w);
                for (i64 h = 0; h < hidden; ++h) {
                    gate += at(x, token * hidden + h) * at(gate_up, (expert * 2 * width + w) * hidden + h);
                    up +=
                        at(x, token * hidden + h) * at(gate_up, ((expert * 2 + 1) * width + w) * hidden + h);
                }
                if (gate > Float(call.limit)) gate = Float(call.limit);
                up = std::clamp(up, -Float(call.limit), Float(call.limit));
                const Float alpha = call.alpha;
                middle[w] =
                    activate<Float>(call.activation, alpha * gate) / alpha * (up + Float(call.up_offset));
                if (rounds) middle[w] = round_to(DType::bf16, static_cast<float>(middle[w]));
            }
            for (i64 h = 0; h < hidden; ++h) {
                Float sum = down_bias.empty() ? 0 : at(down_bias, expert * hidden + h);
                for (i64 w = 0; w < width; ++w)
                    sum += middle[w] * at(down, (expert * hidden + h) * width + w);
                if (rounds) sum = round_to(DType::bf16, static_cast<float>(sum));
                result[token * hidden + h] += Float(weights[slot]) * sum;
            }
        }
        return result;
    }

    // At most twice as far from the definition as the same in bf16 and fp32, and fp32's rounding.
    void expect_agrees(bool batch_invariant = false) {
        Prepared prepared;
        prepared.batch_invariant = batch_invariant;
        const Status status = prepare(cpu_context(), call, prepared);
        ASSERT_TRUE(status.ok()) << status.message();
        ASSERT_TRUE(prepared.launch(cpu_context().device(), {}).ok());
        const std::vector<double> exact = expected<double>(false);
        std::vector<float> reference = expected<float>(true);
        for (float& value : reference) value = round_to(DType::bf16, value);
        std::vector<float> got;
        for (const u16 bits : out) got.push_back(bf16_to_float(bits));
        const Comparison comparison = compare(got, exact, reference, largest(exact));
        EXPECT_TRUE(comparison.ok) << comparison.text;
        if (batch_invariant) {
            EXPECT_EQ(prepared.steps.size(), 4u);
        }
    }
};

TEST(MoeExperts, AgreesWithItsDefinition) {
    for (const i64 tokens : {1, 3, 8, 9, 40, 300}) {
        Layer(tokens, 4, 16).expect_agrees();
        Layer(tokens, 2, 8, true).expect_agrees();
    }
    Layer(5, 4, 16).expect_agrees(true);
}

TEST(MoeExperts, LimitsAndOffsetsAsGptOss) {
    for (const i64 tokens : {2, 20}) {
        Layer layer(tokens, 4, 16, true);
        layer.call.limit = 0.8F, layer.call.alpha = 1.702F, layer.call.up_offset = 1;
        layer.expect_agrees();
    }
}

TEST(MoeExperts, RoutingsOfEveryKind) {
    for (const i64 tokens : {4, 30}) {
        Layer all_to_one(tokens, 1, 8);
        std::fill(all_to_one.ids.begin(), all_to_one.ids.end(), 5);
        all_to_one.expect_agrees();
        Layer nowhere(tokens, 2, 8);
        std::fill(nowhere.ids.begin(), nowhere.ids.end(), -1);
        nowhere.expect_agrees();
        Layer partly(tokens, 4, 16);  // what is not an expert's number is none
        for (std::size_t slot = 0; slot < partly.ids.size(); slot += 3) partly.ids[slot] = slot % 2 ? -7 : 16;
        partly.expect_agrees();
    }
    EXPECT_EQ(Layer(3, 2, 8).tokens, 3);
}

TEST(MoeExperts, FewTokensNeedNoPermutation) {
    const auto steps = [](i64 tokens, bool batch_invariant = false) {
        Layer layer(tokens, 4, 16);
        Prepared prepared;
        prepared.batch_invariant = batch_invariant;
        EXPECT_TRUE(prepare(cpu_context(), layer.call, prepared).ok());
        return prepared.steps.size();
    };
    EXPECT_EQ(steps(1), 2u);
    EXPECT_EQ(steps(8), 2u);
    EXPECT_EQ(steps(9), 4u);
    EXPECT_EQ(steps(1, true), 4u);
    EXPECT_EQ(steps(300), 4u);  // on the CPU nothing is counted first
}

TEST(MoeExperts, PlansByWhatIsExpected) {
    EXPECT_NEAR(expected_experts(1, 8, 128), 8, 1e-9);
    EXPECT_NEAR(expected_experts(32, 8, 128), 111.8, 0.1);
    EXPECT_NEAR(expected_experts(100000, 8, 128), 128, 1e-9);
    EXPECT_TRUE(moe_plan({.tokens = 8}).few);
    EXPECT_FALSE(moe_plan({.tokens = 8, .batch_invariant = true}).few);
    EXPECT_FALSE(moe_plan({.tokens = 8, .width = 772}).few);
    EXPECT_EQ(moe_plan({.tokens = 32}).alignment, 16);
    EXPECT_EQ(moe_plan({.tokens = 4096}).alignment, 128);
    EXPECT_EQ(moe_plan({.tokens = 32}).rows, moe_rows(256, 128, 16));
}

TEST(MoeExperts, RefusesWithTheReason) {
    Layer layer(9, 4, 16);
    Prepared prepared;
    layer.call.workspace.shape[0] = 100;
    EXPECT_NE(prepare(cpu_context(), layer.call, prepared).message().find("workspace: expected"),
              std::string::npos);
    layer = Layer(9, 4, 16);
    layer.call.down.shape[2] = 39;
    EXPECT_EQ(prepare(cpu_context(), layer.call, prepared).message(),
              "moe_experts: down: dimension 2 (width) is 39, but gate has 40");
    layer = Layer(9, 4, 16);
    layer.call.x.shape[0] = layer.call.ids.shape[0] = layer.call.weights.shape[0] = layer.call.out.shape[0] =
        0;
    EXPECT_TRUE(prepare(cpu_context(), layer.call, prepared).ok());
    EXPECT_TRUE(prepared.steps.empty());
}

}  // namespace
}  // namespace warpwright
