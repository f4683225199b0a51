// SPDX-License-Identifier: Apache-2.0
// The layers of a model as operations with their problems: what a Plan explains, and what Forward prepares.
#pragma once

#include <string>
#include <vector>

#include "dispatch/fields.h"
#include "engine/config.h"
#include "engine/forward.h"

namespace warpwright {

struct LayerCall {
    std::string name;
    int first = 0, last = 0;  // layers of this form; the model's own parts stand at 0
    std::string op;
    std::string format;
    FieldTexts problem;
};

// In execution order; layers that are alike are one entry.
std::vector<LayerCall> layer_calls(const ModelConfig& config, const ForwardShape& shape,
                                   i64 page_size_tokens);

// The model that one of tp GPUs holds: heads, intermediate size and vocabulary divided; kv heads replicated
// where there are fewer than GPUs. Caller error when something does not divide.
Result<ModelConfig> shard_config(const ModelConfig& config, int tp);

}  // namespace warpwright
