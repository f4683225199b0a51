// SPDX-License-Identifier: Apache-2.0
// Attention over ragged or paged keys and values with grouped query heads; the definition is in
// include/warpwright/ops/attention.h.
#pragma once

#include "warpwright/kv_format.h"

namespace warpwright {

// Lengths are capacities: the lengths of a launch are read from device memory.
struct AttentionProblem {
    i64 sequences = 1;
    i64 max_q_len = 1;
    i64 max_kv_len = 4096;
    i64 q_tokens = 0;  // over all sequences; 0: sequences x max_q_len
    i64 heads = 32;
    i64 kv_heads = 8;
    i64 head_dim = 128;
    DType dtype = DType::bf16;
    bool causal = true;
    bool paged = true;
    i64 page_size = 16;
    i64 alignment_bytes = 16;  // what the start of every row of q, k, v and out is a multiple of
    i64 max_splits = 256;      // of the keys: what the workspace has room for
    i64 max_cluster = 8;       // blocks of a cluster that may divide the keys; not a field that is asked for
    i64 window_left = -1;      // keys before its own position that a query sees; -1: all
    float softcap = 0;         // 0: none
    KvFormat kv_format = KvFormat::same;  // of keys and values
    i64 window_right = -1;                // keys behind its own position; -1: all; causal: none
    i64 chunk = 0;                        // keys in whose multiples a query sees its own only; 0: all
    bool sinks = false;                   // a logit of each head is in the sum of the weights
    bool alibi = false;                   // distances are subtracted from scores
    bool mask = false;                    // bits say which keys are seen
    i64 head_dim_v = 0;                   // columns of v and out; 0: head_dim
    i64 block_queries = 0;                // that share a list of blocks of keys; 0: no lists
    i64 block_keys = 0;                   // of a listed block
    i64 listed_keys = 0;                  // of a list, on average; 0: as many as there are

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("sequences", self.sequences);
        v("max_q_len", self.max_q_len);
        v("max_kv_len", self.max_kv_len);
        v("q_tokens", self.q_tokens);
        v("heads", self.heads);
        v("kv_heads", self.kv_heads);
        v("head_dim", self.head_dim);
        v("dtype", self.dtype);
        v("causal", self.causal);
        v("paged", self.paged);
        v("page_size", self.page_size);
        v("alignment_bytes", self.alignment_bytes);
        v("max_splits", self.max_splits);
        v("window_left", self.window_left);
        v("softcap", self.softcap);
        v("kv_format", self.kv_format);
        v("window_right", self.window_right);
        v("chunk", self.chunk);
        v("sinks", self.sinks);
        v("alibi", self.alibi);
        v("mask", self.mask);
        v("head_dim_v", self.head_dim_v);
        v("block_queries", self.block_queries);
        v("block_keys", self.block_keys);
        v("listed_keys", self.listed_keys);
    }
    // A prompt's row loses less at decoding than a decode row at prompts. Splits depend on lengths.
    constexpr AttentionProblem canonical() const {
        AttentionProblem problem = *this;
        problem.sequences = 1;
        problem.max_q_len = problem.q_tokens = 2048;
        problem.max_kv_len = 4096;
        problem.max_splits = problem.max_cluster = 1;
        problem.listed_keys = 0;
        return problem;
    }
    // For measured times: what is spelled in two ways, and how many splits there is room for at most.
    constexpr AttentionProblem comparable() const {
        AttentionProblem problem = *this;
        if (q_tokens == 0) problem.q_tokens = sequences * max_q_len;
        if (head_dim_v == head_dim) problem.head_dim_v = 0;
        if (max_splits > 1) problem.max_splits = 256;
        return problem;
    }
};

constexpr i64 value_dim(const AttentionProblem& problem) {
    return problem.head_dim_v > 0 ? problem.head_dim_v : problem.head_dim;
}

// More keys than there are, and no overflow when it is added to the number of a key.
constexpr i32 kNoWindow = 1 << 30;

// Of a listed block: its keys count in 32 bits.
constexpr i64 kMaxBlockKeys = i64{1} << 29;

// Multiples of a chunk without a division, for numbers below 2^31 (Granlund and Montgomery, 1994): with
// 2^(shift - 1) < size <= 2^shift and magic = 2^(31 + shift) / size rounded up, n / size is
// n magic / 2^(31 + shift) rounded down. Size 0 has the multiple 0 only; 1 is a window of no keys.
struct ChunkSize {
    i32 size = 0;
    u32 magic = 0;
    i32 shift = 1;

    constexpr i32 multiple_below(i32 n) const {
        return size *
               static_cast<i32>(static_cast<u32>((u64{static_cast<u32>(n)} * magic) >> 32) >> (shift - 1));
    }
};
constexpr ChunkSize chunk_size(i64 size) {
    if (size < 2) return {};
    i32 shift = 1;
    while ((i64{1} << shift) < size) ++shift;
    const u64 dividend = u64{1} << (31 + shift), divisor = static_cast<u64>(size);
    return {static_cast<i32>(size), static_cast<u32>((dividend + divisor - 1) / divisor), shift};
}

// Scales in e4m3 of blocks of nvfp4, where their codes are: [kv_tokens, kv_heads, head_dim / 16] or
// [pages, page_size, kv_heads, head_dim / 16].
struct KvBlockScales {
    const u8* first;
    i32 page_stride, token_stride, head_stride;
};

// Strides count elements, of packed codes bytes.
struct AttentionArgs {
    const void* q;          // [q_tokens, heads, head_dim]
    void* out;              // [q_tokens, heads, head_dim_v]
    float* lse;             // [q_tokens, heads] or null
    const void* k;          // [kv_tokens, kv_heads, head_dim] or [pages, page_size, kv_heads, head_dim]
    const void* v;          // like k, of head_dim_v columns
    const i32* q_starts;    // [sequences + 1]
    const i32* kv_starts;   // [sequences + 1]; null when paged
    const i32* kv_lengths;  // [sequences]; null when ragged
    const i32* page_table;  // [sequences, max_pages]; null when ragged

    // Where the keys are split: normalised partial outputs and their log-sum-exps, combined by the merge.
    float* partial_out;  // [splits, q_tokens, heads, partial_dim(head_dim_v)]
    float* partial_lse;  // [splits, q_tokens, heads]

    i32 q_token_stride, q_head_stride;
    i32 out_token_stride, out_head_stride;
    i32 lse_token_stride;
    i32 k_page_stride, k_token_stride, k_head_stride;
    i32 v_page_stride, v_token_stride, v_head_stride;
    i32 page_table_stride;
    i32 max_pages;  // columns of the page table
    i32 sequences;
    i32 heads;
    i32 kv_heads;
    i32 head_dim;
    i32 q_tokens;
    i32 max_q_len;
    i32 num_splits;
    i32 page_shift;     // log2 of the page size
    i32 past_is_ready;  // see warpwright/ops/attention.h
    i32 window_left;    // kNoWindow: none
    i32 window_right;   // the same; 0: causal
    ChunkSize chunk;
    i32 has_first;     // a window or a chunk: queries may not see the first key
    float tanh_scale;  // scale / softcap; 0: no softcap
    float scale_log2;  // (softcap or else scale) x log2(e): scores are compared and summed in base 2
    float lse_factor;  // of log-sum-exps that leave as results: ln 2 where they are natural logarithms

    const float* sinks;         // [heads] or null; null too where a merge adds them
    const float* alibi_slopes;  // [heads] or null
    const u32* mask;            // [q_tokens, mask_words] or null: see biases.cuh
    i64 mask_stride;            // words
    i32 mask_words;
    i32 mask_of_queries;  // bit 0 is the first query's own key, not the sequence's first

    // Of 8-bit keys and values, which are multiplied by them: one, or (stride 1) one a kv head. null: 1.
    KvFormat kv_format;
    i32 k_scale_stride, v_scale_stride;
    const float *k_scale, *v_scale;

    i32 head_dim_v;

    // Of rows for lists: block b of a sequence's queries sees the blocks of keys from
    // block_columns[starts[b]] up to block_columns[starts[b + 1]].
    i32 block_queries;          // of a block; 0: no lists
    i32 block_shift;            // log2 of a block's keys
    const i32* block_starts;    // [sequences, kv_heads or 1, blocks of queries + 1]
    i64 block_sequence_stride;  // of block_starts
    i64 block_head_stride;      // the same; 0: one list for all heads
    const i32* block_columns;

    KvBlockScales k_blocks, v_blocks;  // of nvfp4
};

// Columns of a row of partial output: whole 16-byte vectors of floats.
constexpr i64 partial_dim(i64 head_dim) {
    return (head_dim + 3) / 4 * 4;
}

}  // namespace warpwright
