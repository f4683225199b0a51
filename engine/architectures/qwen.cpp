// SPDX-License-Identifier: Apache-2.0
// Qwen2 and Qwen2.5: biases on q, k and v; Qwen3: none, but norms on q and k. transformers' models/qwen2,
// qwen3.
#include "engine/architectures/architecture.h"
#include "engine/architectures/fields.h"

namespace warpwright {
namespace {

// A window is off unless it is switched on, and then the first layers have none.
void read_qwen_windows(Fields& fields, ModelConfig& config) {
    const std::optional<i64> window = read_window(fields, 4096);
    const bool is_on = fields.flag_or("use_sliding_window", false);
    const i64 first = fields.integer_or("max_window_layers", 0, kMaxSize, 28);
    read_layer_types(
        fields, is_on ? window : std::nullopt,
        [](int layer, i64 first_windowed) { return layer >= first_windowed; }, first, config);
}

}  // namespace

void read_qwen2(Fields& fields, ModelConfig& config) {
    read_common(fields, {.num_kv_heads = 32, .max_position_tokens = 32768}, config);
    config.qkv_bias = true;
    if (!fields.flag_or("attention_bias", true)) {
        fields.fail("'attention_bias': q, k and v of Qwen2 have a bias; expected true, got false");
    }
    config.rope = read_rope(fields, config);
    read_qwen_windows(fields, config);
}

void read_qwen3(Fields& fields, ModelConfig& config) {
    read_common(fields, {.num_kv_heads = 32, .head_dim = 128, .max_position_tokens = 32768}, config);
    config.qk_norm = true;
    config.qkv_bias = config.o_bias = fields.flag_or("attention_bias", false);
    config.rope = read_rope(fields, config);
    read_qwen_windows(fields, config);
}

}  // namespace warpwright
