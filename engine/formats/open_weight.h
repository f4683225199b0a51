// SPDX-License-Identifier: Apache-2.0
// A linear layer's quantised tensors in a checkpoint, found and checked: names, types, shapes, and whether
// the values are what the declared convention would have them be.
#pragma once

#include <optional>
#include <string>

#include "engine/formats/layer_format.h"
#include "engine/safetensors.h"
#include "formats/stored_weight.h"

namespace warpwright {

// `layer` is the name without ".weight", of [rows, columns]. Caller errors name file and tensor: one that is
// missing, or has another type or shape than the format's; groups that do not divide the columns; an order of
// groups out of range; another format than the declared one; zero points or a global scale in another
// convention (plausibility.h).
Result<formats::StoredWeight> open_weight(const Safetensors& checkpoint, const std::string& layer,
                                          const LayerFormat& format, i64 rows, i64 columns);

// One expert of gpt-oss' stacked tensors NAME_blocks [experts, rows, columns / 32, 16] and NAME_scales.
Result<formats::StoredWeight> open_gpt_oss_expert(const Safetensors& checkpoint, const std::string& name,
                                                  i64 expert, i64 num_experts, i64 rows, i64 columns);

// The scale by which a layer's inputs become codes, where its format says that the checkpoint has one for the
// tensor; nothing where there is no tensor of it. Caller errors name file and tensor: another type or shape,
// a value that is not positive and finite.
struct InputScale {
    std::string tensor;
    float value = 0;
};
Result<std::optional<InputScale>> open_input_scale(const Safetensors& checkpoint, const std::string& layer,
                                                   const LayerFormat& format);

// Which format's tensors a layer has, whatever the config says: "gptq or awq (qweight)"; empty: none that is
// known.
std::string format_found(const Safetensors& checkpoint, const std::string& layer);

// Tensors that may stand beside a layer's weights: scales of activations, and those of keys and values
// (kv_scales.h).
bool is_beside_weights(std::string_view tensor);

}  // namespace warpwright
