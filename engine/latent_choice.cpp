// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>

#include "dispatch/operation.h"
#include "engine/latent_forward.h"
#include "engine/layers.h"

namespace warpwright {
namespace {

// Of a layer, what the forms do not share; infinite where an operation has no row.
Result<double> form_us(const Target& target, const std::vector<LayerCall>& calls) {
    double us = 0;
    for (const LayerCall& call : calls) {
        if (call.absent) continue;
        WW_ASSIGN(const Operation* operation, find_operation(call.op));
        const Result<double> time = operation->chosen_us(target, call.problem);
        if (!time.ok() && time.status().kind() != ErrorKind::no_kernel) return time.status();
        us += time.ok() ? *time : std::numeric_limits<double>::infinity();
    }
    return us;
}

}  // namespace

Result<bool> expands_latents(const Target& target, const ModelConfig& config, const ModelForms& forms,
                             const ForwardShape& shape, i64 page_size_tokens, i64 largest_tokens,
                             bool batch_invariant) {
    const i64 rows = rows_to_expand(shape);
    if (shape.max_q_len == 1 || batch_invariant || rows > expanded_rows(config, largest_tokens)) return false;
    if (config.expands_latents) return *config.expands_latents;
    ForwardShape prompts{.tokens = shape.tokens - shape.decoding,
                         .sequences = shape.sequences - shape.decoding,
                         .max_q_len = shape.max_q_len,
                         .max_kv_len = std::min(shape.max_kv_len, rows),
                         .kv_tokens = rows};
    double us[2] = {};
    for (const bool expands : {false, true}) {
        prompts.expands = expands;
        WW_ASSIGN(us[expands], form_us(target, latent_calls(config, forms, prompts, page_size_tokens)));
    }
    return us[true] < us[false];
}

}  // namespace warpwright
