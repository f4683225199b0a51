// SPDX-License-Identifier: Apache-2.0
// ModelConfig: what a model computes and how large it is, from Hugging Face's config.json or from the
// built-in list of public models. It says nothing of families: engine/architectures reads theirs.
#pragma once

#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/expert_score.h"
#include "warpwright/kv_format.h"
#include "warpwright/ops/rope.h"
#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

class QuantizationConfig;

// What quantised weights are multiplied by (engine/activations.h).
enum class Activations : u8 {
    automatic,  // one of the others, whichever is faster on the device
    bits16,     // numbers of 16 bits
    declared,   // codes, where the checkpoint says so
};

struct RopeConfig {
    double theta = 10000;
    int rotary_dim = 0;        // head_dim x partial_rotary_factor
    bool interleaved = false;  // pairs of neighbours (GLM), not of halves
    RopeScaling scaling;
};

// How a checkpoint names and cuts a layer's tensors, where families differ.
struct CheckpointLayout {
    bool fused_qkv = false;      // self_attn.qkv_proj, not q_proj, k_proj, v_proj
    bool fused_gate_up = false;  // mlp.gate_up_proj, not gate_proj, up_proj
    const char* mlp_norm = "post_attention_layernorm";
    const char* attention_post_norm = "post_attention_layernorm";  // with post_norms
    const char* mlp_post_norm = "post_feedforward_layernorm";      // with post_norms
    const char* experts = "mlp";  // + ".ROUTER.weight", ".experts.0.NAME.weight"
    const char* router = "gate";
    const char* selection_bias = "gate.e_score_correction_bias";
    const char* shared_experts = "shared_experts";
    // All experts in one tensor, [experts, inputs, outputs], gate's outputs and up's in turns; or MXFP4.
    bool stacked_experts = false;
    const char* expert_gate = "gate_proj";
    const char* expert_up = "up_proj";
    const char* expert_down = "down_proj";
};

// Experts in place of the MLP of some layers: each token goes through the top_k that a router chooses
// (warpwright/ops/moe_route.h).
struct ExpertsConfig {
    int num_experts = 0;  // 0: no layer has any
    int top_k = 0;
    int width = 0;  // of one
    ExpertScore score = ExpertScore::softmax;
    bool renormalize = false;
    double scale = 1;                    // of the weights of those chosen
    int num_groups = 1, top_groups = 1;  // of experts; of the groups, those among which is chosen
    bool by_pairs = true;                // groups by their two best experts; false: by the best one
    bool router_bias = false;            // of the logits
    bool selection_bias = false;         // of scores, for the choice alone
    bool bias = false;                   // of experts' products
    // How they gate, as in warpwright/ops/grouped_gemm.h.
    double limit = std::numeric_limits<double>::infinity(), alpha = 1, up_offset = 0;
    bool is_limited() const { return std::isfinite(limit) || alpha != 1 || up_offset != 0; }
    // An MLP beside them, that every token goes through: all shared experts as one. 0: there is none.
    int shared_width = 0;
    bool shared_gate = false;  // what it gives is multiplied by a sigmoid, of a product with one row

    std::vector<bool> layers;  // which have experts
};

// Multi-head latent attention (DeepSeek): of a token the cache has one vector for all heads, kv_rank and
// rope_dim wide (warpwright/ops/mla.h).
struct LatentConfig {
    int kv_rank = 0;                                // 0: attention is another
    int q_rank = 0;                                 // 0: queries are projected at once
    int nope_dim = 0, rope_dim = 0, value_dim = 0;  // of a head: not rotated, rotated; of values
    double norm_eps = 1e-6;                         // of queries' and keys' ranks, whatever others' is

    int cached() const { return kv_rank + rope_dim; }
};

// The indexer of sparse latent attention (DeepSeek-V3.2): a query attends to the keys of the top_k largest
// scores alone (warpwright/ops/index_logits.h, index_topk.h).
struct IndexerConfig {
    int heads = 0;  // 0: there is none
    int dim = 0;    // of its queries and keys
    int top_k = 0;
    bool interleaved = false;  // pairs of neighbours turn; of its queries and keys the first rope_dim do
    double norm_eps = 1e-6;    // of its keys' LayerNorm
};

// generation_config.json's: how its makers want the model to be sampled. Absent fields are unset.
struct GenerationDefaults {
    std::optional<bool> do_sample;  // false: greedy, whatever the others say
    std::optional<double> temperature, top_p, min_p, repetition_penalty;
    std::optional<int> top_k;
};

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
    double norm_weight_offset = 0;  // the weight of every norm is this much more than what is stored
    bool qk_norm = false;           // each head of q and k is normalised before it is rotated; or, with
    bool qk_norm_of_all = false;    // this, all heads of q as one vector, and all of k
    bool post_norms = false;        // what attention and MLP add to the residual is normalised first

    ExpertsConfig experts;
    LatentConfig latent;
    IndexerConfig indexer;

    bool qkv_bias = false, o_bias = false, mlp_bias = false;

    double embedding_scale = 1;    // rounded to dtype, as the product with it is
    double attention_scale = 0;    // of q k^T
    double attention_softcap = 0;  // scores = cap tanh(scores / cap); 0: none
    double logits_softcap = 0;     // likewise
    bool sinks = false;            // each head has a logit without a key
    std::vector<i64> windows;      // per layer, the tokens that a query sees, itself included; 0: all
    RopeConfig rope;               // of layers that see all, and of windowed ones too unless
    std::optional<RopeConfig> windowed_rope;  // they have their own

    bool tie_word_embeddings = false;  // the output layer is the embedding: there is no lm_head.weight
    CheckpointLayout layout;
    int draft_layers = 0;  // behind the others in the checkpoint, and left out

    // How the checkpoint's linear layers are quantised (engine/formats); null: not at all.
    std::shared_ptr<const QuantizationConfig> quantization;
    bool dequantise = false;  // they are multiplied as numbers of `dtype` nevertheless
    // How keys and values are kept; unset: as the checkpoint declares, or else in `dtype`.
    std::optional<KvFormat> kv_format;
    // Whether prompts of latent attention run expanded (engine/latent_forward.h); unset: where that is
    // predicted to be faster.
    std::optional<bool> expands_latents;
    Activations activations = Activations::automatic;
    bool coded_inputs = false;  // what that comes to on a target: with_activations() says, and why
    std::string activations_reason;

    std::optional<i32> bos_token;
    std::vector<i32> eos_tokens;  // generation_config.json's where it has them, else config.json's
    GenerationDefaults generation;
    std::vector<std::string> ignored_fields;  // of config.json, which no reader here knows

    bool has_experts(int layer) const {
        return experts.num_experts > 0 && experts.layers[static_cast<std::size_t>(layer)];
    }
    bool is_latent() const { return latent.kv_rank > 0; }
    bool has_indexer() const { return indexer.heads > 0; }
    // Of what attention leaves of a token.
    i64 attended_width() const { return i64{num_heads} * (is_latent() ? latent.value_dim : head_dim); }
    // Of the MLP of a layer; of one with experts, of that beside them.
    int mlp_width(int layer) const { return has_experts(layer) ? experts.shared_width : intermediate_size; }
    const RopeConfig& rope_of(int layer) const {
        return windowed_rope && windows[static_cast<std::size_t>(layer)] != 0 ? *windowed_rope : rope;
    }
};

// Why the engine cannot run such a model, which a plan can show nevertheless; else ok (no_kernel).
Status check_runs(const ModelConfig& config);

// A folder with config.json, a config.json, or the name of a built-in public model. Caller errors: nothing of
// that name (offers the nearest), an architecture that is not supported, a field that is missing, ill-typed
// or absurd, or one that asks for what no operation here computes.
Result<ModelConfig> load_config(std::string_view path_or_name);

// The text of a config.json and, where there is one, of its generation_config.json. `where` names it in
// errors.
Result<ModelConfig> parse_config(std::string_view text, std::string_view generation_text,
                                 const std::string& where);

// Without aliases ("mistral-7b" is "mistral-7b-v0.3"), which load_config takes too.
std::vector<std::string> public_model_names();

// "LlamaForCausalLM", ...
std::vector<std::string> supported_architectures();

}  // namespace warpwright
