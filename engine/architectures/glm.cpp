// SPDX-License-Identifier: Apache-2.0
// GLM-4: half of each head rotated, in pairs of neighbours, and biases on q, k and v; GLM-4-0414 has norms on
// both sides of attention and MLP besides. transformers' models/glm, glm4.
#include "engine/architectures/architecture.h"
#include "engine/architectures/fields.h"

namespace warpwright {

void read_glm(Fields& fields, ModelConfig& config) {
    read_common(fields,
                {.num_kv_heads = 2,
                 .head_dim = 128,
                 .max_position_tokens = 131072,
                 .rms_norm_eps = 1.5625e-7,
                 .eos_tokens = {151329, 151336, 151338}},
                config);
    config.qkv_bias = fields.flag_or("attention_bias", true);
    config.layout.fused_gate_up = true;
    config.rope = read_rope(fields, config, {.partial_rotary_factor = 0.5});
    config.rope.interleaved = true;
}

void read_glm4(Fields& fields, ModelConfig& config) {
    read_glm(fields, config);
    config.post_norms = true;
    config.layout.attention_post_norm = "post_self_attn_layernorm";
    config.layout.mlp_post_norm = "post_mlp_layernorm";
}

}  // namespace warpwright
