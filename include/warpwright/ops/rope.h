// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding (Su et al. 2021) on queries and keys: in place, or keys on their way to the
// cache.
//   pair (a, b) -> (a cos t - b sin t, b cos t + a sin t),  t = position x frequency[i]
// neox pairs element i with i + rotary_dim / 2; interleaved pairs 2i with 2i + 1. Elements from rotary_dim on
// are left alone.
#pragma once

#include <vector>

#include "warpwright/context.h"
#include "warpwright/kv_format.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct RopeScaling {
    enum class Kind : u8 { none, linear, llama3, yarn, longrope };
    Kind kind = Kind::none;
    double factor = 1;
    double low_freq_factor = 1;             // llama3
    double high_freq_factor = 4;            // llama3
    double original_max_position = 8192;    // llama3, yarn, longrope
    double beta_fast = 32, beta_slow = 1;   // yarn
    bool truncate = true;                   // yarn: the pairs between which frequencies change are whole ones
    double attention_factor = 0;            // yarn, longrope; 0: 0.1 ln(factor) + 1 for yarn,
                                            // sqrt(1 + ln(factor) / ln(original_max_position)) for longrope
    double mscale = 0, mscale_all_dim = 0;  // yarn, DeepSeek's pair; both non-zero: their ratio
    std::vector<double> short_factor, long_factor;  // longrope, [rotary_dim / 2]
};

struct RopeFrequencies {
    std::vector<float> frequency;  // [rotary_dim / 2], radians per position
    float magnitude = 1;           // cos and sin are multiplied by it (yarn's attention factor)
};

// As Hugging Face transformers computes them (modeling_rope_utils). longrope has two sets of frequencies: the
// long one where `context_tokens`, the longest context to be served, is beyond original_max_position. It is
// chosen once (vLLM's rule), not by the length of each sequence (transformers' rule): keys of one sequence in
// the cache must not be of two kinds.
RopeFrequencies rope_frequencies(double theta, int rotary_dim, const RopeScaling& scaling,
                                 i64 context_tokens = 0);

struct Rope {
    Tensor q;          // [tokens, heads, head_dim], bf16 or f16
    Tensor k;          // [tokens, kv_heads, head_dim]
    Tensor positions;  // [tokens] i32
    Tensor frequency;  // [rotary_dim / 2] f32, on the device
    float magnitude = 1;
    bool interleaved = false;
    // Optional, [tokens, heads, rotary_dim] like q: turned elements of queries go there, and q stays as it
    // is.
    Tensor q_out;

    // All or none. With them turned keys, and values, go to their pages as kv_append puts them (its header
    // has the shapes), in the same launch, and k stays as it is. Heads of v and of its pages may have another
    // size than keys'.
    Tensor v, sequences, page_table, k_pages, v_pages;
    // Where kv_format says so, pages get codes of what 16-bit pages would get, by kv_append's rule.
    KvFormat kv_format = KvFormat::same;
    Tensor k_scale, v_scale;  // of codes: [1] f32, or [kv_heads], read on the device; null: 1

    // The operation directly before this one in the stream does not write positions, frequency, sequences and
    // page_table (see Attention::past_is_ready, also for what is before that one). Then they may be read
    // while it still runs. Results are the same.
    bool positions_are_ready = false;
};

Status prepare(Context& context, const Rope& call, Prepared& prepared);
Status rope(Context& context, Stream stream, const Rope& call);

}  // namespace warpwright
