// SPDX-License-Identifier: Apache-2.0
// The layers of a model as operations with their problems: what a Plan explains, and what Forward prepares.
#pragma once

#include <string>
#include <vector>

#include "dispatch/fields.h"
#include "engine/config.h"
#include "engine/forward.h"
#include "engine/weight_forms.h"

namespace warpwright {

struct LayerCall {
    std::string name;
    std::vector<int> layers;  // of this form, ascending; none: a part of the model itself
    std::string op;
    std::string format;
    FieldTexts problem;

    // Not launched in a pass of this shape, but in others: it has a place here and no time.
    bool absent = false;

    i64 count() const { return layers.empty() ? 1 : static_cast<i64>(layers.size()); }
};

// In execution order: of the entries that hold a layer, those before another are launched before it. Layers
// that are alike are one entry, also where layers of another form stand between them. `forms` are config's.
std::vector<LayerCall> layer_calls(const ModelConfig& config, const ModelForms& forms,
                                   const ForwardShape& shape, i64 page_size_tokens,
                                   bool batch_invariant = false);

// Of latent attention, what its two forms (latent_forward.h) have of their own, between a layer's first
// products and its last.
std::vector<LayerCall> latent_calls(const ModelConfig& config, const ModelForms& forms,
                                    const ForwardShape& shape, i64 page_size_tokens);

// The model that one of tp GPUs holds: heads, intermediate size and vocabulary divided; kv heads replicated
// where there are fewer than GPUs. Caller error when something does not divide.
Result<ModelConfig> shard_config(const ModelConfig& config, int tp);

}  // namespace warpwright
