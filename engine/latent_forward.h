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
#pragma once

#include "engine/config.h"

namespace warpwright {

// Columns of a head's query.
constexpr i64 latent_query_dim(const LatentConfig& latent) {
    return latent.nope_dim + latent.rope_dim;
}
inline i64 latent_qkv_width(const ModelConfig& c) {
    const i64 queries = c.latent.q_rank > 0 ? c.latent.q_rank : c.num_heads * latent_query_dim(c.latent);
    return queries + c.latent.cached();
}
// Of a token beside these: queries of a rank, those that latent rows are multiplied with, and what is left.
inline i64 latent_width(const ModelConfig& c) {
    if (!c.is_latent()) return 0;
    const i64 of_rank = c.latent.q_rank > 0 ? latent_query_dim(c.latent) : 0;
    return c.num_heads * (of_rank + c.latent.cached() + c.latent.kv_rank);
}

}  // namespace warpwright
