// SPDX-License-Identifier: Apache-2.0
// How the experts of so many tokens are computed: what moe_experts prepares, and what a plan explains.
#pragma once

#include "kernels/fused/embedding/problem.h"
#include "kernels/fused/gated_activation/problem.h"
#include "kernels/grouped_gemm/problem.h"
#include "kernels/quantized_experts/problem.h"
#include "kernels/quantized_gemm/problem.h"

namespace warpwright {

struct MoePlan {
    bool few = false;     // by tokens' choices, without a permutation
    bool sums = false;    // the second product adds up; else moe_combine does
    bool masked = false;  // every expert has a place for all tokens; else experts' rows follow each other
    i64 rows = 0;         // of the activations between the products
    i64 alignment = 16;   // of an expert's first row, unless few or masked
    i64 expected_groups = 0, expected_m = 0;
};

struct MoeSizes {
    i64 tokens = 1, top_k = 8, experts = 128, hidden = 2048, width = 768;
    DType dtype = DType::bf16;
    Activation activation = Activation::silu;
    bool bias = false;
    bool batch_invariant = false;  // one way for every number of tokens
    i64 alignment_bytes = 16;      // of rows of x and of the weights
    bool quantized = false;        // weights are codes
    bool one_form = false;         // of gate and up, and no weight has an order
    bool limited = false;  // of quantised experts: gated by limit, alpha and up_offset; permuted ones apart
};

MoePlan moe_plan(const MoeSizes& sizes);
bool moe_has_chunks(const MoeSizes& sizes);  // moe_permute is given chunk_counts

// The two products of a plan, as their operations see them.
GroupedGemmProblem moe_up_problem(const MoeSizes& sizes);
GroupedGemmProblem moe_down_problem(const MoeSizes& sizes);

// Of quantised experts: the copy of x, and the three products, each of `weight`'s format, group, scale, zeros
// and order.
enum class MoeProduct : u8 { gate, up, down };
EmbeddingProblem moe_gather_problem(const MoeSizes& sizes);
GatedActivationProblem moe_gate_problem(const MoeSizes& sizes);  // of limited ones that are permuted
QuantizedGemmProblem moe_quantized_problem(const MoeSizes& sizes, MoeProduct product,
                                           const QuantizedGemmProblem& weight);
// The same of few tokens: gate and up, or down.
QuantizedExpertsProblem moe_choices_problem(const MoeSizes& sizes, bool down,
                                            const QuantizedGemmProblem& weight);

}  // namespace warpwright
