// SPDX-License-Identifier: Apache-2.0
// What a checkpoint says of keys and values as codes: in which format they are kept, and what codes are
// multiplied by.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/config.h"
#include "engine/safetensors.h"
#include "warpwright/kv_format.h"

namespace warpwright {

// Of a layer's keys and values: one scale, or one for each kv head; none: 1.
struct LayerKvScales {
    std::vector<float> k, v;
};

struct StoredKv {
    KvFormat format = KvFormat::same;
    std::vector<LayerKvScales> layers;  // by index; none: no layer has any
    std::string note;                   // what is not as one might expect; or empty
};

// As asked for (config.kv_format), or else as config.json declares.
KvFormat declared_kv_format(const ModelConfig& config);
// That 16 bits are kept although something else is declared; or empty.
std::string declared_kv_note(const ModelConfig& config);

// The same of a checkpoint: where config.json says nothing, scales of keys and values among the tensors
// declare e4m3. `body` is the prefix of layers ("model."). Caller errors that name file and tensor, where the
// format has scales: one that is not positive and finite, is no floating-point tensor, or has neither one
// element nor one for each kv head; one for keys without one for values, and the other way round.
Result<StoredKv> find_kv(const ModelConfig& config, const Safetensors& checkpoint, const std::string& body);

// A tensor that find_kv looks for.
bool is_kv_scale(std::string_view tensor);

}  // namespace warpwright
