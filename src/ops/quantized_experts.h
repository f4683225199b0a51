// SPDX-License-Identifier: Apache-2.0
// Products of few tokens with the packed weights of the experts that they chose: a part of moe_experts.
//   d[slot] = activation(a b + bias)    or, gated,    u = a b_gate + gate_bias and v = a b + bias, as
//             warpwright/ops/grouped_gemm.h gates
// of the expert that the slot, a token's choice, says. A slot of no expert has no row: that of d is left
// alone.
#pragma once

#include <limits>

#include "warpwright/context.h"
#include "warpwright/ops/quantized_gemm.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct QuantizedExperts {
    Tensor a;                   // [tokens, k]; or [slots, k]
    QuantizedWeight b, b_gate;  // groups: experts; b_gate, optional: of the same form; no order
    Tensor d;                   // [slots, n]
    Tensor bias, gate_bias;     // optional, [experts, n], with the same strides
    Tensor ids;                 // [tokens, top_k] i32, dense; at most 256
    Tensor row_of_slot;         // optional, [tokens, top_k] i32, written: for moe_combine of d
    Activation activation = Activation::none;
    float limit = std::numeric_limits<float>::infinity();  // as in warpwright/ops/grouped_gemm.h
    float alpha = 1;
    float up_offset = 0;
    bool b_is_constant = false;
    bool ids_are_constant = false;  // as of warpwright/ops/grouped_gemm.h
    i64 expected_groups = 0;
};

// Whether two weights can be gate and b of a product.
bool same_form(const QuantizedWeight& a, const QuantizedWeight& b);

// Errors: as quantized_gemm's.
Status prepare(Context& context, const QuantizedExperts& call, Prepared& prepared);

}  // namespace warpwright
