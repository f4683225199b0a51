// SPDX-License-Identifier: Apache-2.0
// Gemma 2: windowed layers take turns with others, norms on both sides of attention and MLP, soft caps on
// scores and logits. Gemma 3: norms on q and k in place of the caps, five windowed layers for one that is
// not, with a rotary embedding of their own. transformers' models/gemma2, gemma3.
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/architectures/architecture.h"
#include "engine/architectures/fields.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

using nlohmann::json;

void read_gemma_common(Fields& fields, FamilyDefaults defaults, ModelConfig& config) {
    defaults.num_heads = 8;
    defaults.num_kv_heads = 4;
    defaults.head_dim = 256;
    defaults.activation_field = "hidden_activation";
    defaults.activation = "gelu_pytorch_tanh";
    defaults.tie_word_embeddings = true;
    defaults.bos_token = 2;
    defaults.eos_tokens = {1};
    read_common(fields, defaults, config);
    fields.find("hidden_act");  // an older field, which does not count
    config.qkv_bias = config.o_bias = fields.flag_or("attention_bias", false);
    config.post_norms = true;
    config.layout.mlp_norm = "pre_feedforward_layernorm";
    config.norm_weight_offset = 1;
    // The embeddings' product with it is one in the model's dtype: 62 for 3840, not 61.97, in bf16.
    config.embedding_scale =
        round_to(config.dtype, static_cast<float>(std::sqrt(static_cast<double>(config.hidden_size))));
    config.attention_scale = 1 / std::sqrt(fields.positive_or("query_pre_attn_scalar", 256));
}

// Every pattern-th layer sees all.
bool is_local(int layer, i64 pattern) {
    return (layer + 1) % pattern != 0;
}

// Parameters for layers of both kinds (transformers 5), or for those that see all and the base of the others.
void read_gemma3_ropes(Fields& fields, ModelConfig& config) {
    static const json kNothing = json::object();
    const auto inner = [](const json& object, const char* key) -> const json& {
        const auto found = object.find(key);
        return found == object.end() || found->is_null() ? kNothing : *found;
    };
    const double local_theta = fields.positive_or("rope_local_base_freq", 10000);
    const json* parameters =
        fields.find("rope_parameters") == nullptr ? nullptr : fields.object("rope_parameters");
    const bool is_nested = parameters != nullptr && (parameters->contains("full_attention") ||
                                                     parameters->contains("sliding_attention"));
    if (!is_nested) {
        config.rope = read_rope(fields, config, {.theta = 1e6});
        config.windowed_rope = config.rope;
        config.windowed_rope->theta = local_theta;
        config.windowed_rope->scaling = {};
        return;
    }
    fields.find("rope_scaling");
    const double theta = fields.positive_or("rope_theta", 1e6);
    config.rope = read_rope_parameters(fields, "rope_parameters.full_attention",
                                       inner(*parameters, "full_attention"), config, {.theta = theta});
    config.windowed_rope =
        read_rope_parameters(fields, "rope_parameters.sliding_attention",
                             inner(*parameters, "sliding_attention"), config, {.theta = local_theta});
}

}  // namespace

void read_gemma2(Fields& fields, ModelConfig& config) {
    read_gemma_common(fields, {.max_position_tokens = 8192}, config);
    config.attention_softcap = fields.positive_or_none("attn_logit_softcapping", 50).value_or(0);
    config.logits_softcap = fields.positive_or_none("final_logit_softcapping", 30).value_or(0);
    config.rope = read_rope(fields, config);
    read_layer_types(fields, read_window(fields, 4096), is_local, 2, config);
}

void read_gemma3(Fields& fields, ModelConfig& config) {
    // Google's own files of the larger models leave out what is the default.
    read_gemma_common(fields, {.vocab_size = 262208, .max_position_tokens = 131072}, config);
    config.qk_norm = true;
    config.logits_softcap = fields.positive_or_none("final_logit_softcapping", {}).value_or(0);
    read_gemma3_ropes(fields, config);
    i64 pattern = fields.integer_or("sliding_window_pattern", 1, kMaxSize, 6);
    pattern = fields.integer_or("_sliding_window_pattern", 1, kMaxSize, pattern);
    read_layer_types(fields, read_window(fields, 4096), is_local, pattern, config);
}

}  // namespace warpwright
