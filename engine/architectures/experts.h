// SPDX-License-Identifier: Apache-2.0
// What readers of configs with experts share.
#pragma once

#include "engine/config.h"
#include "engine/json_fields.h"

namespace warpwright {

// How many there are, how many of them a token goes to, and how wide one is; in all layers.
void read_experts(Fields& fields, const char* count, i64 default_count, i64 default_choices,
                  const char* width, ModelConfig& config);

// transformers from 5.0 on saves their number under a name for all families.
const char* experts_count_name(const Fields& fields, const char* name);

// A word that only one value of is computed.
void expect_text(Fields& fields, const char* key, const char* only);

struct BiasedDefaults {
    i64 count, num_groups, top_groups;
    double scale;
    i64 dense;  // layers that have none, the first ones
};
// DeepSeek-V3's and GLM-4.5's: the scores' bias is learnt without a gradient, so as to spread the tokens.
void read_biased_experts(Fields& fields, const BiasedDefaults& defaults, ModelConfig& config);

// n_group and topk_group; behind read_experts.
void read_expert_groups(Fields& fields, i64 num_groups, i64 top_groups, ModelConfig& config);
// n_shared_experts, and the layers that have none, the first ones; likewise.
void read_shared_experts(Fields& fields, i64 default_shared, i64 default_dense, ModelConfig& config);

}  // namespace warpwright
