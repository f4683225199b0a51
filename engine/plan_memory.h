// SPDX-License-Identifier: Apache-2.0
// What a plan's model takes of one GPU's memory, and what would fit.
#pragma once

#include <map>

#include "engine/config.h"
#include "engine/engine.h"
#include "engine/weight_forms.h"
#include "warpwright/plan.h"

namespace warpwright {

// A plan is for an engine with its default options.
constexpr i64 kPageSizeTokens = EngineOptions{}.page_size_tokens;
constexpr i64 kMaxBatchTokens = EngineOptions{}.max_batch_tokens;

// Of a config's shards over so many GPUs, which are the same for every kind of GPU: found when asked for.
using FormsOfShards = std::map<int, Result<ModelForms>>;

// Fills the plan's memory figures, whether it fits, and the sentence about it. `shard` is what one GPU holds,
// in these forms.
void plan_memory(const ModelConfig& config, const ModelConfig& shard, const ModelForms& forms,
                 const Target& target, FormsOfShards& known, Plan& plan);

}  // namespace warpwright
