// SPDX-License-Identifier: Apache-2.0
// Scores of an indexer; the definition is in include/warpwright/ops/index_logits.h.
#pragma once

#include "warpwright/kv_format.h"

namespace warpwright {

constexpr int kIndexDim = 128;  // of queries and keys

// Of a key with 8-bit codes. A page has the codes of all its keys, then their scales in fp32.
constexpr int kIndexRecordBytes = kIndexDim + 4;

// Lengths are capacities: the lengths of a launch are read from device memory.
struct IndexLogitsProblem {
    i64 sequences = 1;
    i64 max_q_len = 1;
    i64 max_kv_len = 4096;
    i64 q_tokens = 0;  // over all sequences; 0: sequences x max_q_len
    i64 heads = 64;
    bool causal = true;
    i64 page_size = 64;
    i64 alignment_bytes = 16;  // what the start of every row of q and of the cache is a multiple of
    KvFormat kv_format = KvFormat::same;  // of keys; fp8_e4m3: codes
    bool coded_queries = false;           // which need keys that are codes

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("sequences", self.sequences);
        v("max_q_len", self.max_q_len);
        v("max_kv_len", self.max_kv_len);
        v("q_tokens", self.q_tokens);
        v("heads", self.heads);
        v("causal", self.causal);
        v("page_size", self.page_size);
        v("alignment_bytes", self.alignment_bytes);
        v("kv_format", self.kv_format);
        v("coded_queries", self.coded_queries);
    }
    // One row for every batch.
    constexpr IndexLogitsProblem canonical() const {
        IndexLogitsProblem problem = *this;
        problem.sequences = 1;
        problem.max_q_len = problem.q_tokens = 128;
        problem.max_kv_len = 4096;
        return problem;
    }
};

// Strides count elements; those of a cache with codes bytes.
struct IndexLogitsArgs {
    const void* q;          // [q_tokens, heads, kIndexDim]
    const float* weights;   // [q_tokens, heads]
    float* logits;          // [q_tokens, columns]
    const void* cache;      // [pages, page_size, kIndexDim], or pages of codes and scales
    const i32* q_starts;    // [sequences + 1]
    const i32* kv_lengths;  // [sequences]
    const i32* page_table;  // [sequences, max_pages]

    i64 logits_stride;
    i32 q_token_stride, q_head_stride;
    i32 weights_stride;
    i32 page_stride, token_stride;  // of the cache
    i32 page_table_stride;
    i32 sequences;
    i32 heads;
    i32 max_q_len;
    i32 max_kv_len;
    i32 page_shift;  // log2 of the page size
    i32 causal;
    KvFormat kv_format;
    bool coded_queries;
};

}  // namespace warpwright
