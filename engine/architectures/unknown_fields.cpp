// SPDX-License-Identifier: Apache-2.0
#include "engine/architectures/unknown_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace warpwright {
namespace {

using nlohmann::json;

// Of training, of saving, of generation (generation_config.json has the valid ones), or about the file
// itself.
constexpr std::string_view kHarmless[] = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "auto_map",
    "cache_implementation",
    "chunk_size_feed_forward",
    "embd_pdrop",
    "finetuning_task",
    "gradient_checkpointing",
    "id2label",
    "initializer_range",
    "label2id",
    "model_type",
    "num_nextn_predict_layers",  // layers that draft tokens, beside the model
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "pad_token_id",
    "pretraining_tp",  // cuts products into slices; the sum is the same
    "problem_type",
    "resid_pdrop",
    "router_aux_loss_coef",
    "router_jitter_noise",  // noise of training
    "return_dict",
    "task_specific_params",
    "tf_legacy_loss",
    "tokenizer_class",
    "torchscript",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
};

// Fields by which some family departs from what this one computes. A reader that computes it asks for it.
constexpr std::string_view kUnsupported[] = {
    // other attention
    "alibi",
    "attention_chunk_size",
    "attention_k_eq_v",
    "attention_sink",
    "attn_type_list",
    "attn_logit_softcapping",
    "attn_output_gate",
    "attn_temperature_tuning",
    "clip_qkv",
    "full_attention_interval",
    "global_head_dim",
    "index_topk",
    "kv_lora_rank",
    "linear_attn_config",
    "linear_num_key_heads",
    "mrope_section",
    "no_rope_layer_interval",
    "no_rope_layers",
    "num_kv_shared_layers",
    "q_lora_rank",
    "qk_layernorm",
    "qk_norm",
    "rope_interleaved",
    "query_pre_attn_scalar",
    "use_bidirectional_attention",
    "use_mrope",
    "use_qk_norm",
    "v_head_dim",
    // experts
    "first_k_dense_replace",
    "mlp_only_layers",
    "moe_intermediate_size",
    "n_routed_experts",
    "n_shared_experts",
    "num_experts",
    "num_experts_per_tok",
    "num_local_experts",
    "shared_expert_intermediate_size",
    "shared_intermediate_size",
    "swiglu_limit",
    // scales
    "attention_multiplier",
    "dim_model_base",
    "embedding_multiplier",
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "residual_multiplier",
    "scale_depth",
    "scale_emb",
    // biases
    "attention_bias",
    "attention_out_bias",
    "bias",
    "lm_head_bias",
    "mlp_bias",
    "qkv_bias",
    "use_bias",
    // other layers
    "add_cross_attention",
    "hidden_size_per_layer_input",
    "is_encoder_decoder",
    "mamba_d_state",
    "parallel_attn",
    "quantization_config",
    "compression_config",
    "use_parallel_residual",
};

// Values that switch off what their field is about: null, false, 0, empty; a factor of 1.
bool switches_off(std::string_view key, const json& value) {
    const bool is_factor = key.ends_with("_multiplier") || key.ends_with("_scaling") ||
                           key.ends_with("_scale") || key.starts_with("scale_");
    if (value.is_number()) return value == 0 || (is_factor && value == 1);
    return value.is_null() || value == false || value.empty() ||
           (value.is_string() && value.get_ref<const std::string&>().empty());
}

bool contains(std::span<const std::string_view> list, std::string_view key) {
    return std::find(list.begin(), list.end(), key) != list.end();
}

}  // namespace

void sort_unread_fields(Fields& fields, const json& object, const std::string& prefix, ModelConfig& config) {
    for (const std::string& key : fields.unread()) {
        const json& value = object[key];
        if (contains(kUnsupported, key) && !switches_off(key, value)) {
            fields.fail(fmt::format("'{}': not supported for {}; expected none, got {}", key,
                                    config.architecture, describe_json(value)));
        } else if (!contains(kUnsupported, key) && !contains(kHarmless, key)) {
            config.ignored_fields.push_back(prefix + key);
        }
    }
}

}  // namespace warpwright
