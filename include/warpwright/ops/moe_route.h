// SPDX-License-Identifier: Apache-2.0
// Routing of tokens to experts: which experts a token goes to, and what each one's result counts. Per token:
//   score   of every expert, from its logit (expert_score.h), in fp32
//   choice  score + bias where there is a bias or there are groups, else the logit itself
//   groups  of experts / num_groups neighbours: the top_groups best ones by the sum of their two largest
//           choices (or by the largest one), of the others no expert is chosen
//   ids     the top_k largest choices, largest first; of equal ones the lower id
//   weight  score, times 1 / (sum of the chosen scores + 1e-20) where asked for, times scale
// The result is defined to the bit: every device, and every batch, chooses the same experts with the same
// weights. softmax then top-k then renormalised is top-k then softmax: one flavour under two names.
//
// A NaN logit counts as -infinity, with the score 0, and is counted; +infinity as the largest fp32 number. A
// token whose logits are all NaN goes to the lowest ids with weights of 0.
//
//                       score          bias  groups       weights
//   Mixtral, Qwen3-MoE  softmax                           renormalised
//   gpt-oss             softmax                           renormalised (its softmax over the top-k)
//   Qwen2-MoE           softmax
//   DeepSeek-V2         softmax              by largest   scale
//   DeepSeek-V3         sigmoid        yes   by two       renormalised, scale
//   Kimi-K2, GLM-4.5    sigmoid        yes                renormalised, scale
//   MiniMax-M2          sigmoid        yes                renormalised
//   Llama 4             sigmoid                           top_k = 1
//   DeepSeek-V4         sqrt_softplus  yes                renormalised, scale; first layers by `table`
//
// Sources: the models' routers in transformers, and FlashInfer's RoutingMethodType.
#pragma once

#include "warpwright/context.h"
#include "warpwright/expert_score.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct MoeRoute {
    Tensor logits;   // [tokens, experts] bf16, f16 or f32; at most 1024 experts
    Tensor ids;      // [tokens, top_k] i32, written, dense; top_k at most 32
    Tensor weights;  // [tokens, top_k] f32, written, dense
    ExpertScore score = ExpertScore::softmax;
    bool renormalize = false;
    float scale = 1;
    Tensor bias;           // optional, [experts] f32: for the choice alone
    i64 num_groups = 1;    // at most 32, divides experts
    i64 top_groups = 1;    // of them; top_groups * experts / num_groups is at least top_k
    bool by_pairs = true;  // groups by the sum of their two largest choices; false: by the largest one

    // Routing by a table instead of choices (hash layers; or ids from outside, to have their weights): ids
    // are row token_ids[t], or t without them, of the table. Where an id or a row does not exist: -1, with
    // the weight 0.
    Tensor table;      // optional, [rows, top_k] i32, dense
    Tensor token_ids;  // optional, [tokens] i32

    Tensor nan_count;  // optional, [1] i32: the number of NaN logits is added to it
};

// Errors: shapes or types that disagree, top_k above the experts that can be chosen, groups that do not
// divide the experts (caller). No tokens is no error and prepares nothing.
Status prepare(Context& context, const MoeRoute& call, Prepared& prepared);
Status moe_route(Context& context, Stream stream, const MoeRoute& call);

}  // namespace warpwright
