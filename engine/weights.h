// SPDX-License-Identifier: Apache-2.0
// Weights: a model's parameters on a device, in the shapes the forward pass multiplies with.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/coded_inputs.h"
#include "engine/config.h"
#include "engine/weight_forms.h"
#include "warpwright/context.h"
#include "warpwright/ops/quantized_gemm.h"
#include "warpwright/tensor.h"

namespace warpwright {

// Rows of a product's weight in one form.
struct WeightPart {
    i64 first_row = 0, rows = 0;
    WeightForm form{};
    Tensor dense{};               // [rows, columns]; null where codes are multiplied:
    QuantizedWeight quantized{};  // of a packed form
    CodedWeight coded{};          // of a coded one
};

// [rows, columns], from the first row down: one part, or more where kernels cannot take them as one.
using ProductWeight = std::vector<WeightPart>;

// q, k and v are one product with stacked rows, and so are gate and up.
struct LayerWeights {
    Tensor attention_norm;    // [hidden]
    ProductWeight qkv;        // [(heads + 2 kv_heads) head_dim, hidden]
    Tensor qkv_bias;          // [(heads + 2 kv_heads) head_dim], only with qkv_bias
    Tensor q_norm, k_norm;    // [head_dim], only with qk_norm; of all, [heads head_dim] and of kv_heads
    Tensor sinks;             // f32 [heads], only with sinks
    Tensor k_scale, v_scale;  // f32 [1] or [kv_heads], only of keys and values as codes; null: 1
    // With latent attention qkv is [q_rank + kv_rank + rope_dim, hidden], without a q_rank as many rows of q
    // as queries have; q_b and the first norm only with a q_rank.
    Tensor q_a_norm, kv_a_norm;  // [q_rank], [kv_rank]
    ProductWeight q_b;           // [heads (nope_dim + rope_dim), q_rank]
    // With an indexer its keys are the last rows of qkv, its queries those of q_b.
    Tensor index_k_norm, index_k_bias;  // [indexer.dim]
    Tensor index_weights;               // [indexer.heads, hidden]
    // What makes values and keys of latent rows, [heads, value_dim + nope_dim, kv_rank]: a head's rows of
    // values come first here, so that the rotated part fits behind its keys. And what a head's queries are
    // multiplied by in place of its keys, which are transposed there.
    Tensor kv_b;
    Tensor absorbed_keys;        // [heads, kv_rank, nope_dim]
    ProductWeight o;             // [hidden, heads head_dim]
    Tensor o_bias;               // [hidden], only with o_bias
    Tensor attention_post_norm;  // [hidden], only with post_norms
    Tensor mlp_norm;             // [hidden]
    ProductWeight gate_up;       // [2 width, hidden]: gate's rows first
    Tensor gate_up_bias;         // [2 width], only with mlp_bias
    ProductWeight down;          // [hidden, width]
    Tensor down_bias;            // [hidden], only with mlp_bias
    Tensor mlp_post_norm;        // [hidden], only with post_norms
    // Of a layer with experts, whose gate_up and down are those of the shared ones, or empty. The gate's rows
    // of an expert come first.
    Tensor router;               // [experts, hidden]
    Tensor router_bias;          // [experts], only with router_bias
    Tensor selection_bias;       // f32 [experts], only with selection_bias
    Tensor shared_gate;          // [1, hidden], only with shared_gate
    Tensor expert_gate_up;       // [experts x 2 width, hidden]
    Tensor expert_gate_up_bias;  // [experts x 2 width], only of experts with a bias
    Tensor expert_down;          // [experts x hidden, width]
    Tensor expert_down_bias;     // [experts x hidden], likewise
    // Of quantised experts, in place of those two: a part each, with a weight for each expert.
    ProductWeight experts_gate, experts_up;  // [experts x width, hidden]
    ProductWeight experts_down;              // [experts x hidden, width]
};

struct Weights {
    Tensor embedding;       // [vocabulary, hidden]
    Tensor final_norm;      // [hidden]
    ProductWeight lm_head;  // [vocabulary, hidden]; the embedding when tied
    std::vector<LayerWeights> layers;

    std::vector<Buffer> storage;
    i64 bytes = 0;
    ModelForms forms;
    std::vector<std::string> ignored;  // what else the checkpoint holds: "vision_tower (436 tensors)"
};

// Called while bytes arrive on the device, on the thread that loads.
using LoadProgress = std::function<void(i64 done_bytes, i64 total_bytes)>;

// How the work is cut. 0: what was measured to be good.
struct LoadTuning {
    int num_threads = 0;
    i64 part_bytes = 0;  // that a thread brings to the device at a time
};

// From a folder with model.safetensors, or an index and its shards. Products that are quantised stay so, as
// far as kernels multiply them (weight_forms.h), by what config.activations comes to on this device; all else
// is converted to config.dtype. Everything is checked before the first byte is read. Caller errors name the
// file, and the tensor that is missing or misshapen.
Result<Weights> load_weights(Context& context, const ModelConfig& config, const std::string& folder,
                             const LoadProgress& progress = {}, const LoadTuning& tuning = {});

// Reproducible random weights for any config: normal values of 0.02 standard deviation, quantised where the
// config says so; neutral norms.
Result<Weights> random_weights(Context& context, const ModelConfig& config, u64 seed,
                               const LoadProgress& progress = {}, const LoadTuning& tuning = {});

}  // namespace warpwright
