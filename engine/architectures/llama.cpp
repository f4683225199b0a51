// SPDX-License-Identifier: Apache-2.0
// Llama, and Mistral: Llama without biases and with a window. transformers' models/llama, mistral, ministral.
#include <algorithm>

#include "engine/architectures/architecture.h"
#include "engine/architectures/fields.h"

namespace warpwright {
namespace {

void read_mistral_common(Fields& fields, ModelConfig& config) {
    read_common(fields, {.num_kv_heads = 8, .max_position_tokens = 131072, .bos_token = 1, .eos_tokens = {2}},
                config);
    config.rope = read_rope(fields, config);
}

bool every_layer(int, i64) {
    return true;
}

}  // namespace

void read_llama(Fields& fields, ModelConfig& config) {
    read_common(fields, {.max_position_tokens = 2048, .bos_token = 1, .eos_tokens = {2}}, config);
    config.qkv_bias = config.o_bias = fields.flag_or("attention_bias", false);
    config.mlp_bias = fields.flag_or("mlp_bias", false);
    config.rope = read_rope(fields, config);
}

// One window for all layers: transformers does not look at layer_types here, so they must say the same.
void read_mistral(Fields& fields, ModelConfig& config) {
    read_mistral_common(fields, config);
    const std::optional<i64> window = read_window(fields, 4096);
    read_layer_types(fields, window, every_layer, 0, config);
    const auto differs = [&](i64 of_layer) { return of_layer != config.windows.front(); };
    if (std::any_of(config.windows.begin(), config.windows.end(), differs)) {
        fields.fail(
            "'layer_types': expected the same for all layers, got full_attention and sliding_attention "
            "(MinistralForCausalLM has layers of both)");
    }
}

void read_ministral(Fields& fields, ModelConfig& config) {
    read_mistral_common(fields, config);
    read_layer_types(fields, read_window(fields, 4096), every_layer, 0, config);
}

}  // namespace warpwright
