// SPDX-License-Identifier: Apache-2.0
// Latent attention in the forward pass: what it needs room for, and in which form prompts run. A layer's
// launches:
//
//   qkv        [q_rank or queries | latent row | rotated part] of each token
//   norms      of q's rank, and of the latent row, in place
//   q_b        queries of the rank: a head's are nope_dim, then rope_dim, wide
//
// absorbed, where a key has 576 numbers for all heads:
//
//   keys       by head, a query's nope_dim x keys^T -> its first kv_rank numbers
//   rope       a query's rope_dim -> its last ones; rotated parts and latent rows to their pages
//   mla        queries of kv_rank + rope_dim, over those pages
//   values     by head, of the kv_rank numbers that it leaves
//
// or expanded, where a key has nope_dim + rope_dim numbers and a value value_dim of each head, 192 and 128:
//
//   rope       a query's rope_dim, in place; rotated parts and latent rows to their pages
//   gather     all rows of the prompts' sequences out of their pages, one behind the other
//   numbers    of them, where they are codes
//   expand     by head, latent rows x (values, keys)^T -> [value | key of nope_dim | ...] of each row
//   copies     of the rotated part, behind each head's key
//   attention
//
// and then o. Expanding takes a product of every row that a prompt sees, and saves more than two thirds of
// what attention multiplies: what it comes to is predicted. Before mla with an indexer, which has no expanded
// form, whose queries and keys are made with q_b and qkv:
//
//   index_norm     LayerNorm of a token's key, in place
//   index_weights  of its heads, in fp32
//   index_rope     rope_dim columns of queries, in place; keys to their pages, as these columns and the rest
//   index_append   where pages have codes: keys, which index_rope has turned in place, to them
//   index_logits   of every key that a query sees, without 1 / sqrt(dim heads): no order depends on it
//   index_topk     the lists that mla goes by
#pragma once

#include <algorithm>

#include "engine/forward.h"
#include "kernels/legality.h"
#include "warpwright/quantize_format.h"

namespace warpwright {

// Of an indexer's keys that are codes: DeepSeek's.
constexpr ScaleType kIndexScale = ScaleType::power_of_two;
constexpr float kIndexLeastAmax = 1e-4f;

// Columns of a head's query.
constexpr i64 latent_query_dim(const LatentConfig& latent) {
    return latent.nope_dim + latent.rope_dim;
}
// Of qkv's row: the column of the latent row, behind which the indexer's key is; and how many there are.
inline i64 latent_column(const ModelConfig& c) {
    return c.latent.q_rank > 0 ? c.latent.q_rank : c.num_heads * latent_query_dim(c.latent);
}
inline i64 latent_qkv_width(const ModelConfig& c) {
    return latent_column(c) + c.latent.cached() + c.indexer.dim;
}
// Of a row of queries that come of a rank: a head's after another, then the indexer's.
inline i64 latent_q_width(const ModelConfig& c) {
    return c.num_heads * latent_query_dim(c.latent) + i64{c.indexer.heads} * c.indexer.dim;
}

// Of an expanded row of a head: its value, its key, the rotated part.
constexpr i64 expanded_width(const LatentConfig& latent) {
    return latent.value_dim + latent_query_dim(latent);
}
// Rows that an engine can expand at a time: of this many of its largest passes.
inline i64 expanded_rows(const ModelConfig& c, i64 tokens) {
    constexpr i64 kPasses = 8;
    return c.is_latent() && !c.has_indexer() ? kPasses * tokens : 0;
}
// Rows of the pass that can be expanded: those of the sequences that do not decode.
inline i64 rows_to_expand(const ForwardShape& shape) {
    const i64 prompts = shape.sequences - shape.decoding;
    return shape.kv_tokens > 0 ? shape.kv_tokens : prompts * shape.max_kv_len;
}

// Where a layer's results are, in bytes of a buffer that both forms use: queries that latent rows are
// multiplied with and what mla leaves of them; or rows of pages, their codes, and what is made of them.
struct LatentSpace {
    i64 absorbed_out = 0;
    i64 codes = 0, expanded = 0;
    i64 bytes = 0;
};
inline LatentSpace latent_space(const ModelConfig& c, KvFormat kv_format, i64 tokens) {
    if (!c.is_latent()) return {};
    const i64 element = dtype_bytes(c.dtype), cached = c.latent.cached(), rows = expanded_rows(c, tokens);
    LatentSpace space;
    space.absorbed_out = round_up(tokens * c.num_heads * cached * element, 256);
    const i64 absorbed = space.absorbed_out + tokens * c.num_heads * c.latent.kv_rank * element;
    space.codes = round_up(rows * cached * element, 256);
    space.expanded = space.codes + (kv_format == KvFormat::same ? 0 : round_up(rows * cached, 256));
    space.bytes =
        std::max(absorbed, space.expanded + rows * c.num_heads * expanded_width(c.latent) * element);
    return space;
}
// Bytes beside qkv's: queries of a rank, and that.
inline i64 latent_bytes(const ModelConfig& c, KvFormat kv_format, i64 tokens) {
    const i64 of_rank = c.latent.q_rank > 0 ? latent_q_width(c) : 0;
    return tokens * of_rank * dtype_bytes(c.dtype) + latent_space(c, kv_format, tokens).bytes;
}
// Bytes of what an indexer makes of a pass: weights of its heads, lists, and the logits of every key.
inline i64 index_bytes(const ModelConfig& c, i64 tokens, i64 max_kv_len) {
    return c.has_indexer() ? tokens * (c.indexer.heads + i64{c.indexer.top_k} + max_kv_len) * 4 : 0;
}

// Whether the prompts of a pass run expanded, in an engine whose largest pass has so many tokens: the plan
// and the forward pass ask here. Decode steps do not, nor batch-invariant passes: how a prompt is cut must
// not matter.
Result<bool> expands_latents(const Target& target, const ModelConfig& config, const ModelForms& forms,
                             const ForwardShape& shape, i64 page_size_tokens, i64 largest_tokens,
                             bool batch_invariant);

}  // namespace warpwright
