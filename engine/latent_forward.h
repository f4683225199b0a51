// SPDX-License-Identifier: Apache-2.0
// Latent attention in the forward pass: what it needs room for. A layer's launches:
//
//   qkv        [q_rank or queries | latent row | rotated part] of each token
//   norms      of q's rank, and of the latent row, in place
//   q_b        queries of the rank: a head's are nope_dim, then rope_dim, wide
//   keys       by head, a query's nope_dim x keys^T -> its first kv_rank numbers
//   rope       a query's rope_dim -> its last ones; rotated parts and latent rows to their pages
//   mla        queries of kv_rank + rope_dim, over those pages
//   values     by head, of the kv_rank numbers that it leaves
//   o
//
// and before mla with an indexer, whose queries and keys are made with q_b and qkv:
//
//   index_norm     LayerNorm of a token's key, in place
//   index_weights  of its heads, in fp32
//   index_rope     rope_dim columns of queries, in place; keys to their pages, as these columns and the rest
//   index_logits   of every key that a query sees, without 1 / sqrt(dim heads): no order depends on it
//   index_topk     the lists that mla goes by
#pragma once

#include "engine/config.h"

namespace warpwright {

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
// Of a token beside these: queries of a rank, those that latent rows are multiplied with, and what is left.
inline i64 latent_width(const ModelConfig& c) {
    if (!c.is_latent()) return 0;
    const i64 of_rank = c.latent.q_rank > 0 ? latent_q_width(c) : 0;
    return of_rank + c.num_heads * (c.latent.cached() + c.latent.kv_rank);
}
// Bytes of what an indexer makes of a pass: weights of its heads, lists, and the logits of every key.
inline i64 index_bytes(const ModelConfig& c, i64 tokens, i64 max_kv_len) {
    return c.has_indexer() ? tokens * (c.indexer.heads + i64{c.indexer.top_k} + max_kv_len) * 4 : 0;
}

}  // namespace warpwright
