// SPDX-License-Identifier: Apache-2.0
// Operations of a mixture of experts through the C ABI do what the C++ calls do with the same fields, to the
// bit.
#include "library/same_results.h"
#include "warpwright/ops/grouped_gemm.h"
#include "warpwright/ops/moe_combine.h"
#include "warpwright/ops/moe_experts.h"
#include "warpwright/ops/moe_permute.h"
#include "warpwright/ops/moe_route.h"

namespace warpwright {
namespace {

ww_moe_route c_moe_route(const MoeRoute& call) {
    ww_moe_route c{sizeof(ww_moe_route)};
    c.logits = c_tensor(call.logits), c.ids = c_tensor(call.ids), c.weights = c_tensor(call.weights);
    c.bias = c_tensor(call.bias), c.table = c_tensor(call.table), c.token_ids = c_tensor(call.token_ids);
    c.nan_count = c_tensor(call.nan_count);
    c.num_groups = call.num_groups, c.top_groups = call.top_groups;
    c.score = static_cast<int32_t>(call.score);
    c.renormalize = call.renormalize;
    c.scale = call.scale;
    c.groups_by_largest = !call.by_pairs;
    return c;
}

void expect_the_same_routes(MoeRoute (*make)(Arena&)) {
    expect_the_same(make, c_moe_route, ww_run_moe_route, ww_prepare_moe_route, moe_route);
}

TEST(Operations, MoeRoute) {
    for (const bool by_pairs : {false, true}) {
        const auto make = [&](Arena& arena) {
            return MoeRoute{.logits = arena.reals(DType::bf16, {5, 16}),
                            .ids = arena.ints({5, 3}, std::vector<i32>(15, -7)),
                            .weights = arena.scales({5, 3}),
                            .score = ExpertScore::sigmoid,
                            .renormalize = true,
                            .scale = 2.5f,
                            .bias = arena.reals(DType::f32, {16}),
                            .num_groups = 4,
                            .top_groups = 2,
                            .by_pairs = by_pairs,
                            .nan_count = arena.ints({1}, {0})};
        };
        expect_the_same(make, c_moe_route, ww_run_moe_route, ww_prepare_moe_route, moe_route);
    }
    expect_the_same_routes([](Arena& arena) {
        return MoeRoute{.logits = arena.reals(DType::f32, {2, 8}),
                        .ids = arena.ints({2, 2}, {-7, -7, -7, -7}),
                        .weights = arena.scales({2, 2}),
                        .score = ExpertScore::sqrt_softplus,
                        .table = arena.ints({3, 2}, {1, 2, 3, 4, 5, 6}),
                        .token_ids = arena.ints({2}, {2, 0})};
    });
}

TEST(Operations, MoePermute) {
    const auto to_c = [](const MoePermute& call) {
        ww_moe_permute c{sizeof(ww_moe_permute)};
        c.ids = c_tensor(call.ids), c.expert_map = c_tensor(call.expert_map);
        c.row_of_slot = c_tensor(call.row_of_slot), c.token_of_row = c_tensor(call.token_of_row);
        c.expert_rows = c_tensor(call.expert_rows), c.expert_of_row = c_tensor(call.expert_of_row);
        c.chunk_counts = c_tensor(call.chunk_counts);
        c.alignment = call.alignment;
        return c;
    };
    const auto contiguous = [](Arena& arena) {
        const i64 rows = ww_moe_rows(6, 3, 4);
        return MoePermute{.ids = arena.ints({3, 2}, {0, 4, 3, 1, 4, 0}),
                          .expert_map = arena.ints({5}, {2, -1, -1, 1, 0}),
                          .row_of_slot = arena.ints({3, 2}, std::vector<i32>(6, -7)),
                          .token_of_row = arena.ints({rows}, std::vector<i32>(rows, -7)),
                          .expert_rows = arena.ints({3}, std::vector<i32>(3, -7)),
                          .expert_of_row = arena.ints({rows}, std::vector<i32>(rows, -7)),
                          .alignment = 4};
    };
    expect_the_same(contiguous, to_c, ww_run_moe_permute, ww_prepare_moe_permute, moe_permute);
    const auto masked = [](Arena& arena) {
        return MoePermute{.ids = arena.ints({3, 2}, {0, 2, 2, 1, 1, 0}),
                          .row_of_slot = arena.ints({3, 2}, std::vector<i32>(6, -7)),
                          .token_of_row = arena.ints({6}, std::vector<i32>(6, -7)),
                          .expert_rows = arena.ints({3}, std::vector<i32>(3, -7)),
                          .chunk_counts = arena.ints({1, 3}, {0, 0, 0})};
    };
    expect_the_same(masked, to_c, ww_run_moe_permute, ww_prepare_moe_permute, moe_permute);
}

TEST(Operations, MoeRows) {
    EXPECT_EQ(ww_moe_rows(100, 8, 64), moe_rows(100, 8, 64));
    EXPECT_EQ(ww_moe_rows(100, 8, 0), moe_rows(100, 8, 128));
    EXPECT_EQ(ww_moe_rows(100, 0, 128), 0);
}

TEST(Operations, GroupedGemm) {
    const auto to_c = [](const GroupedGemm& call) {
        ww_grouped_gemm c{sizeof(ww_grouped_gemm)};
        c.a = c_tensor(call.a), c.b = c_tensor(call.b), c.b_gate = c_tensor(call.b_gate);
        c.d = c_tensor(call.d), c.bias = c_tensor(call.bias), c.gate_bias = c_tensor(call.gate_bias);
        c.residual = c_tensor(call.residual), c.row_of_a = c_tensor(call.row_of_a);
        c.group_of_row = c_tensor(call.group_of_row), c.rows_of_group = c_tensor(call.rows_of_group);
        c.ids = c_tensor(call.ids), c.weights = c_tensor(call.weights);
        c.group_rows = call.group_rows, c.expected_groups = call.expected_groups;
        c.expected_m = call.expected_m;
        c.activation = static_cast<int32_t>(call.activation);
        c.limit = std::isinf(call.limit) ? 0 : call.limit;
        c.alpha = call.alpha, c.up_offset = call.up_offset;
        c.b_is_constant = call.b_is_constant, c.ids_are_constant = call.ids_are_constant;
        return c;
    };
    const auto gated = [](Arena& arena) {
        std::vector<i32> groups(32, -1), rows(32);
        for (int i = 0; i < 5; ++i) groups[i] = 1, groups[16 + i] = 0, rows[i] = 7 - i, rows[16 + i] = i;
        return GroupedGemm{.a = arena.reals(DType::bf16, {8, 64}),
                           .b = arena.reals(DType::bf16, {2, 16, 64}),
                           .b_gate = arena.reals(DType::bf16, {2, 16, 64}),
                           .d = arena.reals(DType::bf16, {32, 16}),
                           .bias = arena.reals(DType::bf16, {2, 16}),
                           .gate_bias = arena.reals(DType::bf16, {2, 16}),
                           .activation = Activation::silu,
                           .limit = 2,
                           .alpha = 1.5f,
                           .up_offset = 1,
                           .group_of_row = arena.ints({32}, groups),
                           .group_rows = 16,
                           .row_of_a = arena.ints({32}, rows),
                           .expected_groups = 2,
                           .expected_m = 5};
    };
    expect_the_same(gated, to_c, ww_run_grouped_gemm, ww_prepare_grouped_gemm, grouped_gemm);
    const auto by_ids = [](Arena& arena) {
        return GroupedGemm{.a = arena.reals(DType::f16, {4, 64}),
                           .b = arena.reals(DType::f16, {3, 16, 64}),
                           .d = arena.reals(DType::f32, {2, 16}),
                           .residual = arena.reals(DType::f32, {2, 16}),
                           .ids = arena.ints({2, 2}, {2, 0, 1, -1}),
                           .weights = arena.scales({2, 2})};
    };
    expect_the_same(by_ids, to_c, ww_run_grouped_gemm, ww_prepare_grouped_gemm, grouped_gemm);
}

TEST(Operations, MoeExperts) {
    EXPECT_EQ(ww_moe_experts_workspace_bytes(20, 2, 4, 64, 32),
              moe_experts_workspace_bytes(20, 2, 4, 64, 32));
    EXPECT_EQ(ww_moe_experts_workspace_bytes(0, 2, 4, 64, 32), 0);
    for (const i64 tokens : {2, 20}) {
        const auto make = [&](Arena& arena) {
            std::vector<i32> ids;
            for (i64 i = 0; i < tokens; ++i)
                ids.insert(ids.end(), {static_cast<i32>(i % 4), 3 - static_cast<i32>(i % 2)});
            return MoeExperts{
                .x = arena.reals(DType::bf16, {tokens, 64}),
                .ids = arena.ints({tokens, 2}, ids),
                .weights = arena.scales({tokens, 2}),
                .gate = arena.reals(DType::bf16, {4, 32, 64}),
                .up = arena.reals(DType::bf16, {4, 32, 64}),
                .down = arena.reals(DType::bf16, {4, 64, 32}),
                .gate_bias = arena.reals(DType::bf16, {4, 32}),
                .up_bias = arena.reals(DType::bf16, {4, 32}),
                .down_bias = arena.reals(DType::bf16, {4, 64}),
                .out = arena.reals(DType::bf16, {tokens, 64}),
                .base = arena.reals(DType::bf16, {tokens, 64}),
                .limit = 3,
                .alpha = 1.25f,
                .up_offset = 1,
                .workspace = arena.bytes({moe_experts_workspace_bytes(tokens, 2, 4, 64, 32)}, 0, 0)};
        };
        const auto to_c = [](const MoeExperts& call) {
            ww_moe_experts c{sizeof(ww_moe_experts)};
            c.x = c_tensor(call.x), c.ids = c_tensor(call.ids), c.weights = c_tensor(call.weights);
            c.gate = c_tensor(call.gate), c.up = c_tensor(call.up), c.down = c_tensor(call.down);
            c.gate_bias = c_tensor(call.gate_bias), c.up_bias = c_tensor(call.up_bias);
            c.down_bias = c_tensor(call.down_bias);
            c.out = c_tensor(call.out), c.base = c_tensor(call.base);
            c.workspace = c_tensor(call.workspace);
            c.activation = static_cast<int32_t>(call.activation);
            c.limit = call.limit, c.alpha = call.alpha, c.up_offset = call.up_offset;
            c.weights_are_constant = call.weights_are_constant;
            return c;
        };
        expect_the_same(make, to_c, ww_run_moe_experts, ww_prepare_moe_experts, moe_experts);
    }
}

TEST(Operations, MoeCombine) {
    expect_the_same(
        [](Arena& arena) {
            return MoeCombine{.rows = arena.reals(DType::f16, {8, 24}),
                              .row_of_slot = arena.ints({3, 2}, {7, 0, -1, 3, 2, 6}),
                              .weights = arena.scales({3, 2}),
                              .out = arena.reals(DType::f16, {3, 24}),
                              .base = arena.reals(DType::f16, {3, 24})};
        },
        [](const MoeCombine& call) {
            ww_moe_combine c{sizeof(ww_moe_combine)};
            c.rows = c_tensor(call.rows), c.row_of_slot = c_tensor(call.row_of_slot);
            c.weights = c_tensor(call.weights), c.out = c_tensor(call.out), c.base = c_tensor(call.base);
            return c;
        },
        ww_run_moe_combine, ww_prepare_moe_combine, moe_combine);
}

}  // namespace
}  // namespace warpwright
