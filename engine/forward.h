// SPDX-License-Identifier: Apache-2.0
// Forward: one pass through the model as prepared operations over fixed buffers.
//
//   embed -> [norm, qkv, (norms of q and k), rope + append, attention, o, (norm),
//             norm, gate_up, activation, down, (norm)] x layers
//         -> norm -> rows of last tokens -> lm_head (-> softcap) [-> adjust logits] -> sample
//
// Experts in place of one MLP: these of shared experts, router, choices, experts of them. Latent attention
// goes another way from qkv to o (latent_forward.h).
//
// Where a product multiplies codes, the norm or activation before it makes them; where nothing does,
// `quantize`. The residual stream is one buffer; each norm adds what the product before it made. Launches
// depend on the shape (capacities) alone; everything that changes from step to step is in StepInputs.
#pragma once

#include "engine/logit_lists.h"
#include "engine/pages.h"
#include "engine/step_inputs.h"
#include "engine/weights.h"
#include "warpwright/ops/attention.h"
#include "warpwright/ops/mla.h"
#include "warpwright/ops/rope.h"

namespace warpwright {

struct ForwardShape {
    i64 tokens = 1;      // rows of this pass
    i64 sequences = 1;   // rows of logits
    i64 max_q_len = 1;   // most tokens of one sequence in this pass
    i64 max_kv_len = 1;  // most tokens of one sequence in the cache, this pass included
    i64 decoding = 0;    // of the sequences, the first ones with one token each, where others have more
    i64 kv_tokens = 0;   // of the others in the cache, of all of them; 0: max_kv_len of each
    // Prompts of latent attention run expanded (latent_forward.h): Forward::prepare decides.
    bool expands = false;
};

// Where a product is in a Prepared, and what it multiplies.
struct ProductInput {
    std::size_t step = 0;
    Tensor a;  // [tokens, columns]
};

// What a pass is prepared for beside its shape.
struct ForwardMode {
    bool batch_invariant = false;             // see Prepared
    const LogitLists* adjustments = nullptr;  // of the logits before the draw; null: none
    // Adjusted logits go to a buffer of their own, and logits() are the model's still.
    bool keeps_logits = false;
    // If given: every layer's qkv, o, gate_up and down, then the output layer, as they are prepared.
    std::vector<ProductInput>* products = nullptr;
};

// Bytes of activations, logits and attention workspace for passes up to this shape.
i64 activation_bytes(const ModelConfig& config, const ModelForms& forms, const ForwardShape& shape);

class Forward {
public:
    static Result<Forward> create(Context& context, const ModelConfig& config, const Weights& weights,
                                  const PagePool& pages, const StepInputs& inputs,
                                  const ForwardShape& largest);

    // Everything up to the sampled tokens. The inputs, cache and weights given at creation must outlive it.
    Result<Prepared> prepare(ForwardShape shape, const ForwardMode& mode = {});

    Tensor logits(i64 sequences) const;  // [sequences, vocabulary] f32
    Tensor tokens(i64 sequences) const;  // [sequences] i32, sampled
    Tensor residual(i64 tokens) const;   // [tokens, hidden], as the last layer left it
    // [layers, tokens, top_k] i32: the experts that tokens went to in the last pass, which had so many. Of
    // layers without experts nothing is there.
    Tensor expert_ids(i64 tokens) const;

private:
    struct Rotation {
        static Result<Rotation> create(Context& context, const RopeConfig& config, i64 context_tokens);
        Buffer frequency;  // [rotary_dim / 2] f32
        float magnitude = 1;
    };

    Attention attention_call(const ForwardShape& shape, int layer) const;
    // With the codes that `next` multiplies, if it is given. epsilon 0: the model's.
    Status prepare_norm(const Tensor& x, const Tensor& weight, const Tensor& out, const Tensor& residual,
                        const ProductWeight* next, Prepared& prepared, double epsilon = 0);
    // a x W^T (+ bias) into d, by each part of W. `are_made`: what made a has left W's codes.
    Status prepare_product(const ProductWeight& weight, const Tensor& a, bool are_made, const Tensor& bias,
                           const Tensor& d, Prepared& prepared);
    // A part's codes of [rows, columns], where they are made and read.
    QuantizedOutput codes_of(const WeightPart& part, i64 rows, i64 columns) const;
    QuantizedOutput made_codes(const ProductWeight& weight, const Tensor& inputs) const;
    Status prepare_attention(int layer, const ForwardShape& shape, Prepared& prepared);
    // Latent attention (latent_forward.cpp).
    Status create_latent(const ForwardShape& largest);
    Mla mla_call(const ForwardShape& shape, int layer) const;
    Attention expanded_call(const ForwardShape& shape) const;
    Rope latent_rope(const ForwardShape& shape, int layer) const;
    Tensor latent_queries(i64 tokens) const;  // [tokens, heads, nope_dim + rope_dim]
    Status prepare_latent(int layer, const ForwardShape& shape, Prepared& prepared);
    Status prepare_absorbed(int layer, const ForwardShape& shape, Prepared& prepared);
    Status prepare_expanded(int layer, const ForwardShape& shape, Prepared& prepared);
    Status gather_latents(int layer, i64 count, Prepared& prepared);
    Status prepare_index(int layer, const ForwardShape& shape, Prepared& prepared);
    Status prepare_by_head(const Tensor& a, const Tensor& b, const Tensor& d, Prepared& prepared);
    Status prepare_mlp(int layer, const ForwardShape& shape, Prepared& prepared);
    Status prepare_shared_gate(int layer, const ForwardShape& shape, Prepared& prepared);
    Status prepare_experts(int layer, const ForwardShape& shape, Prepared& prepared);
    Status prepare_layer(int layer, const ForwardShape& shape, Prepared& prepared);
    Tensor rows(const Buffer& buffer, i64 count, i64 width) const;
    // Logits as the draw sees them.
    Result<Tensor> adjusted_logits(const ForwardShape& shape, const ForwardMode& mode, Prepared& prepared);

    Context* context_ = nullptr;
    const ModelConfig* config_ = nullptr;
    const Weights* weights_ = nullptr;
    const PagePool* pages_ = nullptr;
    const StepInputs* inputs_ = nullptr;
    // Of experts: logits of the router, choices of every layer, their weights, and moe_experts' workspace.
    Buffer router_logits_, expert_ids_, expert_weights_, experts_workspace_;
    Buffer shared_logits_, shared_rows_;  // of a shared expert's gate; [tokens] i32, 0, 1, ...
    Buffer residual_, normed_, delta_, qkv_, attended_, gate_up_, last_, logits_, tokens_, workspace_;
    // Of latent attention: queries that come of a rank; LatentSpace; for each head that all rows of its
    // products are there; of rows that are expanded positions of 0 and a scale of 1.
    Buffer q_, latent_, head_rows_, zeros_, one_;
    i64 largest_tokens_ = 0;
    // Of its indexer: weights of heads, logits of keys, lists.
    Buffer index_weights_, index_logits_, index_lists_;
    Buffer ordered_;                                 // a product's input, columns in the order of its weight
    Buffer codes_, code_scales_;                     // of a product's inputs, where there are any
    Buffer adjusted_;                                // like logits_, once it is needed
    std::vector<ProductInput>* products_ = nullptr;  // while a pass is prepared: see ForwardMode
    Rotation rope_, windowed_rope_;
};

}  // namespace warpwright
