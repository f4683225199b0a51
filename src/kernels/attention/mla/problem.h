// SPDX-License-Identifier: Apache-2.0
// Multi-head latent attention in its absorbed form; the definition is in include/warpwright/ops/mla.h.
#pragma once

#include "warpwright/kv_format.h"

namespace warpwright {

// A latent row in the cache: what keys and values are made of, then the rotated part, which is of keys only.
constexpr int kMlaValueDim = 512, kMlaRopeDim = 64, kMlaKeyDim = kMlaValueDim + kMlaRopeDim;

// Or a record of it with 8-bit codes: those, a scale in fp32 for each group of them, the rotated part in 16
// bits.
constexpr int kMlaGroup = 128, kMlaScalesAt = kMlaValueDim,
              kMlaRopeAt = kMlaScalesAt + kMlaValueDim / kMlaGroup * 4,
              kMlaRecordBytes = kMlaRopeAt + kMlaRopeDim * 2;

// Lengths are capacities: the lengths of a launch are read from device memory.
struct MlaProblem {
    i64 sequences = 1;
    i64 max_q_len = 1;
    i64 max_kv_len = 4096;
    i64 q_tokens = 0;  // over all sequences; 0: sequences x max_q_len
    i64 heads = 128;
    DType dtype = DType::bf16;
    bool causal = true;
    i64 page_size = 64;
    i64 alignment_bytes = 16;             // what the start of every row of q, cache and out is a multiple of
    i64 max_splits = 256;                 // of the keys: what the workspace has room for
    KvFormat kv_format = KvFormat::same;  // fp8_e4m3: the cache has records, or with one_scale codes alone
    bool indexed = false;  // every query is a sequence of its own, whose keys are a list of max_kv_len slots
    bool one_scale = false;

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("sequences", self.sequences);
        v("max_q_len", self.max_q_len);
        v("max_kv_len", self.max_kv_len);
        v("q_tokens", self.q_tokens);
        v("heads", self.heads);
        v("dtype", self.dtype);
        v("causal", self.causal);
        v("page_size", self.page_size);
        v("alignment_bytes", self.alignment_bytes);
        v("max_splits", self.max_splits);
        v("kv_format", self.kv_format);
        v("indexed", self.indexed);
        v("one_scale", self.one_scale);
    }
    // One row for every batch, and no splits.
    constexpr MlaProblem canonical() const {
        MlaProblem problem = *this;
        problem.sequences = indexed ? 128 : 1;
        problem.max_q_len = indexed ? 1 : 128;
        problem.q_tokens = 128;
        problem.max_kv_len = indexed ? 2048 : 4096;
        problem.max_splits = 1;
        return problem;
    }
    // For measured times: what is spelled in two ways, and how many splits there is room for at most.
    constexpr MlaProblem comparable() const {
        MlaProblem problem = *this;
        if (q_tokens == 0) problem.q_tokens = sequences * max_q_len;
        if (max_splits > 1) problem.max_splits = 256;
        return problem;
    }
};

// Strides count elements.
struct MlaArgs {
    const void* q;          // [q_tokens, heads, kMlaKeyDim]
    void* out;              // [q_tokens, heads, kMlaValueDim]
    float* lse;             // [q_tokens, heads] or null
    const void* cache;      // [pages, page_size, kMlaKeyDim], numbers or codes, or of kMlaRecordBytes
    const i32* q_starts;    // [sequences + 1]
    const i32* kv_lengths;  // [sequences]
    const i32* page_table;  // [sequences, max_pages]

    // Where the keys are split: normalised partial outputs and their log-sum-exps, combined by the merge.
    float* partial_out;  // [splits, q_tokens, heads, kMlaValueDim]
    float* partial_lse;  // [splits, q_tokens, heads]

    i32 q_token_stride, q_head_stride;
    i32 out_token_stride, out_head_stride;
    i32 lse_token_stride;
    i32 page_stride, token_stride;  // of the cache
    i32 page_table_stride;
    i32 sequences;
    i32 heads;
    i32 q_tokens;
    i32 max_q_len;
    i32 num_splits;
    i32 page_shift;  // log2 of the page size
    i32 causal;
    float scale_log2;  // scale x log2(e)
    float lse_factor;  // of log-sum-exps that leave as results: ln 2 where they are natural logarithms
    KvFormat kv_format;

    // Lists of slots of the cache, page x page_size + offset, in place of lengths and pages. An entry that
    // is none of num_slots is no key.
    const i32* indices;        // [q_tokens, max_indices] or null
    const i32* index_lengths;  // [q_tokens] or null: how many of a list count
    i32 index_stride, max_indices;
    i32 num_slots;

    i32 one_scale;         // codes are not in records
    const float* k_scale;  // of such codes: what they are multiplied by; null: 1
};

}  // namespace warpwright
