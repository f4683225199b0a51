// SPDX-License-Identifier: Apache-2.0
// Routing of tokens to experts; include/warpwright/ops/moe_route.h has the definition.
#pragma once

#include "warpwright/expert_score.h"
#include "warpwright/types.h"

namespace warpwright {

constexpr const char* enum_text(ExpertScore score) {
    return expert_score_name(score);
}

struct MoeRouteProblem {
    i64 tokens = 1;
    i64 experts = 128;
    i64 top_k = 8;
    DType dtype = DType::bf16;  // of the logits
    ExpertScore score = ExpertScore::softmax;
    bool bias = false;
    i64 num_groups = 1;
    i64 top_groups = 1;
    bool table = false;  // the experts are given

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tokens", self.tokens);
        v("experts", self.experts);
        v("top_k", self.top_k);
        v("dtype", self.dtype);
        v("score", self.score);
        v("bias", self.bias);
        v("num_groups", self.num_groups);
        v("top_groups", self.top_groups);
        v("table", self.table);
    }
    constexpr MoeRouteProblem canonical() const {
        MoeRouteProblem problem = *this;
        problem.tokens = 128;
        return problem;
    }
};

struct MoeRouteArgs {
    const void* logits;    // [tokens, experts]
    const float* bias;     // [experts] or null
    i32* ids;              // [tokens, top_k]
    float* weights;        // [tokens, top_k]
    const i32* table;      // [table_rows, top_k] or null
    const i32* token_ids;  // [tokens] or null
    i32* nan_count;        // [1] or null
    i64 logits_stride;     // elements, from token to token
    i32 tokens;
    i32 experts;
    i32 top_k;
    i32 table_rows;
    i32 num_groups;
    i32 top_groups;
    float scale;
    DType dtype;
    ExpertScore score;
    bool renormalize;
    bool by_pairs;
};

// Whether choices are scores with something added, and not the logits themselves.
constexpr bool chooses_by_score(const MoeRouteArgs& args) {
    return args.bias != nullptr || args.num_groups > 1;
}

}  // namespace warpwright
