// SPDX-License-Identifier: Apache-2.0
// Operations of a mixture of experts.
#include "c/arguments.h"
#include "c/calls.h"
#include "warpwright/ops/grouped_gemm.h"
#include "warpwright/ops/moe_combine.h"
#include "warpwright/ops/moe_experts.h"
#include "warpwright/ops/moe_permute.h"
#include "warpwright/ops/moe_route.h"

using namespace warpwright;
using namespace warpwright::c;

namespace {

Result<MoeRoute> convert(const ww_moe_route& c, const Device& device) {
    Arguments arg("moe_route", device);
    const MoeRoute call{.logits = arg("logits", c.logits),
                        .ids = arg("ids", c.ids),
                        .weights = arg("weights", c.weights),
                        .score = arg.choice("score", c.score, ExpertScore::sqrt_softplus,
                                            "WW_SCORE_SOFTMAX to WW_SCORE_SQRT_SOFTPLUS"),
                        .renormalize = c.renormalize != 0,
                        .scale = or_default(c.scale, 1),
                        .bias = arg("bias", c.bias),
                        .num_groups = or_default(c.num_groups, 1),
                        .top_groups = or_default(c.top_groups, 1),
                        .by_pairs = c.groups_by_largest == 0,
                        .table = arg("table", c.table),
                        .token_ids = arg("token_ids", c.token_ids),
                        .nan_count = arg("nan_count", c.nan_count)};
    WW_TRY(arg.status());
    return call;
}

Result<MoePermute> convert(const ww_moe_permute& c, const Device& device) {
    Arguments arg("moe_permute", device);
    const MoePermute call{.ids = arg("ids", c.ids),
                          .expert_map = arg("expert_map", c.expert_map),
                          .row_of_slot = arg("row_of_slot", c.row_of_slot),
                          .token_of_row = arg("token_of_row", c.token_of_row),
                          .expert_rows = arg("expert_rows", c.expert_rows),
                          .expert_of_row = arg("expert_of_row", c.expert_of_row),
                          .alignment = or_default(c.alignment, MoePermute{}.alignment),
                          .chunk_counts = arg("chunk_counts", c.chunk_counts)};
    WW_TRY(arg.status());
    return call;
}

Result<MoeCombine> convert(const ww_moe_combine& c, const Device& device) {
    Arguments arg("moe_combine", device);
    const MoeCombine call{.rows = arg("rows", c.rows),
                          .row_of_slot = arg("row_of_slot", c.row_of_slot),
                          .weights = arg("weights", c.weights),
                          .out = arg("out", c.out),
                          .base = arg("base", c.base)};
    WW_TRY(arg.status());
    return call;
}

Result<GroupedGemm> convert(const ww_grouped_gemm& c, const Device& device) {
    Arguments arg("grouped_gemm", device);
    const GroupedGemm call{.a = arg("a", c.a),
                           .b = arg("b", c.b),
                           .b_gate = arg("b_gate", c.b_gate),
                           .d = arg("d", c.d),
                           .bias = arg("bias", c.bias),
                           .gate_bias = arg("gate_bias", c.gate_bias),
                           .residual = arg("residual", c.residual),
                           .activation = arg.activation(c.activation),
                           .limit = or_default(c.limit, GroupedGemm{}.limit),
                           .alpha = or_default(c.alpha, 1),
                           .up_offset = c.up_offset,
                           .b_is_constant = c.b_is_constant != 0,
                           .group_of_row = arg("group_of_row", c.group_of_row),
                           .rows_of_group = arg("rows_of_group", c.rows_of_group),
                           .group_rows = or_default(c.group_rows, GroupedGemm{}.group_rows),
                           .row_of_a = arg("row_of_a", c.row_of_a),
                           .expected_groups = c.expected_groups,
                           .expected_m = c.expected_m,
                           .ids = arg("ids", c.ids),
                           .weights = arg("weights", c.weights),
                           .ids_are_constant = c.ids_are_constant != 0};
    WW_TRY(arg.status());
    return call;
}

Result<MoeExperts> convert(const ww_moe_experts& c, const Device& device) {
    Arguments arg("moe_experts", device);
    const MoeExperts call{.x = arg("x", c.x),
                          .ids = arg("ids", c.ids),
                          .weights = arg("weights", c.weights),
                          .gate = arg("gate", c.gate),
                          .up = arg("up", c.up),
                          .down = arg("down", c.down),
                          .quantized_gate = arg.weight("quantized_gate", c.quantized_gate),
                          .quantized_up = arg.weight("quantized_up", c.quantized_up),
                          .quantized_down = arg.weight("quantized_down", c.quantized_down),
                          .gate_bias = arg("gate_bias", c.gate_bias),
                          .up_bias = arg("up_bias", c.up_bias),
                          .down_bias = arg("down_bias", c.down_bias),
                          .out = arg("out", c.out),
                          .base = arg("base", c.base),
                          .activation = arg.activation(c.activation),
                          .limit = or_default(c.limit, MoeExperts{}.limit),
                          .alpha = or_default(c.alpha, 1),
                          .up_offset = c.up_offset,
                          .weights_are_constant = c.weights_are_constant != 0,
                          .workspace = arg("workspace", c.workspace)};
    WW_TRY(arg.status());
    return call;
}

}  // namespace

WW_OPERATION(moe_route)
WW_OPERATION(moe_permute)
WW_OPERATION(moe_combine)
WW_OPERATION(grouped_gemm)
WW_OPERATION(moe_experts)

namespace {

int64_t workspace_bytes(int64_t tokens, int64_t top_k, int64_t experts, int64_t hidden, int64_t width,
                        bool quantized) {
    const bool is_none = tokens < 1 || top_k < 1 || experts < 1 || hidden < 1 || width < 1;
    // The struct's limit, alpha and up_offset are not known here.
    return is_none ? 0
                   : moe_experts_workspace_bytes(tokens, top_k, experts, hidden, width, quantized, quantized);
}

}  // namespace

int64_t ww_moe_experts_workspace_bytes(int64_t tokens, int64_t top_k, int64_t experts, int64_t hidden,
                                       int64_t width) {
    return workspace_bytes(tokens, top_k, experts, hidden, width, false);
}
int64_t ww_moe_experts_quantized_workspace_bytes(int64_t tokens, int64_t top_k, int64_t experts,
                                                 int64_t hidden, int64_t width) {
    return workspace_bytes(tokens, top_k, experts, hidden, width, true);
}

int64_t ww_moe_rows(int64_t slots, int64_t experts, int64_t alignment) {
    const int64_t step = or_default(alignment, MoePermute{}.alignment);
    return slots < 0 || experts < 1 || step < 1 ? 0 : moe_rows(slots, experts, step);
}
