// SPDX-License-Identifier: Apache-2.0
// Forward: one pass through the model as prepared operations over fixed buffers.
//
//   embed -> [norm, qkv, rope, append, attention, o, norm, gate_up, activation, down] x layers
//         -> norm -> rows of last tokens -> lm_head -> sample
//
// The residual stream is one buffer; each norm adds what the product before it made. Launches depend on the
// shape (capacities) alone; everything that changes from step to step is in StepInputs.
#pragma once

#include "engine/pages.h"
#include "engine/step_inputs.h"
#include "engine/weights.h"
#include "warpwright/ops/attention.h"

namespace warpwright {

struct ForwardShape {
    i64 tokens = 1;      // rows of this pass
    i64 sequences = 1;   // rows of logits
    i64 max_q_len = 1;   // most tokens of one sequence in this pass
    i64 max_kv_len = 1;  // most tokens of one sequence in the cache, this pass included
};

// Bytes of activations, logits and attention workspace for passes up to this shape.
i64 activation_bytes(const ModelConfig& config, const ForwardShape& shape);

class Forward {
public:
    static Result<Forward> create(Context& context, const ModelConfig& config, const Weights& weights,
                                  const PagePool& pages, const StepInputs& inputs,
                                  const ForwardShape& largest);

    // Everything up to the sampled tokens. The inputs, cache and weights given at creation must outlive it.
    Result<Prepared> prepare(const ForwardShape& shape);

    Tensor logits(i64 sequences) const;  // [sequences, vocabulary] f32
    Tensor tokens(i64 sequences) const;  // [sequences] i32, sampled

private:
    Result<Attention> attention_call(const ForwardShape& shape, int layer);
    Status prepare_layer(int layer, const ForwardShape& shape, Prepared& prepared);
    Tensor rows(const Buffer& buffer, i64 count, i64 width) const;

    Context* context_ = nullptr;
    const ModelConfig* config_ = nullptr;
    const Weights* weights_ = nullptr;
    const PagePool* pages_ = nullptr;
    const StepInputs* inputs_ = nullptr;
    Buffer residual_, normed_, delta_, qkv_, attended_, gate_up_, last_, logits_, tokens_, frequency_,
        workspace_;
    float rope_magnitude_ = 1;
};

}  // namespace warpwright
