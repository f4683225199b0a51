// SPDX-License-Identifier: Apache-2.0
// Operations of a mixture of experts.
#include "c/arguments.h"
#include "c/calls.h"
#include "warpwright/ops/moe_combine.h"
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

}  // namespace

WW_OPERATION(moe_route)
WW_OPERATION(moe_permute)
WW_OPERATION(moe_combine)

int64_t ww_moe_rows(int64_t slots, int64_t experts, int64_t alignment) {
    const int64_t step = or_default(alignment, MoePermute{}.alignment);
    return slots < 0 || experts < 1 || step < 1 ? 0 : moe_rows(slots, experts, step);
}
