// SPDX-License-Identifier: Apache-2.0
// ModelConfig: the numbers of a model, from Hugging Face's config.json or from the built-in list of public
// models.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/ops/rope.h"
#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

struct ModelConfig {
    std::string name;          // the folder's or the public model's name
    std::string architecture;  // "LlamaForCausalLM"
    int hidden_size = 0;
    int num_layers = 0;
    int num_heads = 0;
    int num_kv_heads = 0;
    int head_dim = 0;
    int intermediate_size = 0;
    int vocab_size = 0;
    i64 max_position_tokens = 0;
    DType dtype = DType::bf16;  // that the model is run in; bf16 where the file says fp32, or nothing
    Activation activation = Activation::silu;
    double rms_norm_eps = 1e-6;
    bool tie_word_embeddings = false;  // the output layer is the embedding: there is no lm_head.weight
    bool attention_bias = false;
    bool mlp_bias = false;
    double rope_theta = 10000;
    int rotary_dim = 0;  // head_dim x partial_rotary_factor
    RopeScaling rope_scaling;
    std::optional<i32> bos_token;
    std::vector<i32> eos_tokens;  // generation_config.json's where it has them, else config.json's
};

// A folder with config.json, a config.json, or the name of a built-in public model. Caller errors: nothing of
// that name (offers the nearest), an architecture that is not supported, a field that is missing, ill-typed
// or absurd.
Result<ModelConfig> load_config(std::string_view path_or_name);

// The text of a config.json and, where there is one, of its generation_config.json. `where` names it in
// errors.
Result<ModelConfig> parse_config(std::string_view text, std::string_view generation_text,
                                 const std::string& where);

std::vector<std::string> public_model_names();

}  // namespace warpwright
