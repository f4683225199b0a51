// SPDX-License-Identifier: Apache-2.0
// Attention over ragged or paged keys and values: out = softmax(scale Q K^T + mask) V, per sequence and head.
// Query heads are grouped onto kv heads (GQA): query head h reads kv head h / (num_heads / num_kv_heads).
// Causal masks are bottom-right: query i of q_len sees keys 0 .. kv_len - q_len + i (flash-attn's
// convention). A window lets query i see no key before kv_len - q_len + i - window_left, nor behind
// kv_len - q_len + i + window_right. A query that sees no key gives zeros, and -infinity as log-sum-exp (the
// logit of its sink, where there is one). Keys that no query of a sequence sees are not read, and the
// page-table entries of pages that hold no other keys are not followed.
#pragma once

#include "warpwright/context.h"
#include "warpwright/kv_format.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct Attention {
    Tensor q;           // [q_tokens, heads, head_dim], bf16 or f16; sequences one after another
    Tensor out;         // [q_tokens, heads, head_dim_v], of q's type
    Tensor lse_base2;   // optional, [q_tokens, heads] f32: log2 of the sum of 2^(scores log2 e) (FlashInfer's
                        // base)
    Tensor lse_base_e;  // instead of it: the natural logarithm (PyTorch's and FlashAttention's)

    // Ragged keys and values, of q's type, or u8 where kv_format says that they are codes. Values may have
    // other columns than keys, as latent attention's have where a prompt's are written out: 192 and 128.
    Tensor k, v;       // [kv_tokens, kv_heads, head_dim]; v: head_dim_v
    Tensor kv_starts;  // [sequences + 1] i32, ascending; the last one is kv_tokens

    // or paged ones:
    Tensor k_pages, v_pages;  // [pages, page_size, kv_heads, head_dim; v: head_dim_v] (NHD); page_size a
                              // power of two
    Tensor page_table;        // [sequences, max_pages] i32
    Tensor kv_lengths;        // [sequences] i32, tokens including the queries' own

    KvFormat kv_format = KvFormat::same;
    // What codes are multiplied by, read on the device: [1] f32, or [kv_heads], one for each kv head;
    // null: 1. Codes of NaN and infinity make the outputs of all that see them unspecified.
    Tensor k_scale, v_scale;
    // Of nvfp4, and only of it: scales in e4m3 of 16 columns each, [kv_tokens, kv_heads, head_dim / 16] u8 or
    // [pages, page_size, kv_heads, head_dim / 16]; k and v, or their pages, have head_dim / 2 columns then.
    // `quantize` makes both of rows of head_dim, and kv_append takes either into pages as 16-bit elements.
    Tensor k_block_scales, v_block_scales;

    // [sequences + 1] i32, ascending; the last one is q_tokens. Queries before the first one are another
    // call's: neither they nor their outputs are touched.
    Tensor q_starts;

    // Capacities: what the launch is sized for. Lengths are read from device memory when it runs, so that one
    // prepared launch (or captured graph) serves growing sequences.
    i64 max_q_len = 1;
    i64 max_kv_len = 0;  // 0: as many as k and v, or a row of the page table, hold
    float scale = 0;     // 0: 1 / sqrt(head_dim)
    bool causal = true;
    i64 window_left = -1;   // keys before a query's own position that it sees; -1: all. Hugging Face's
                            // sliding_window is window_left + 1. FlashInfer's name.
    i64 window_right = -1;  // keys behind a query's own position that it sees; -1: all. Causal: none.
    i64 chunk = 0;          // a query at position p sees no key before p / chunk * chunk (Llama 4's chunked
                            // attention, flash-attn's attention_chunk); causal calls only; 0: all
    float softcap = 0;      // scores become softcap tanh(scale q k / softcap), before masks; 0: they do not

    // A logit of each head, [heads] f32, that is in the sum of the weights but has no value (gpt-oss, "s_aux"
    // of vLLM); log-sum-exps have it too, so that of calls that are merged only one may be given it.
    Tensor sinks;
    // ALiBi, [heads] f32: slope x |distance of the query's own position and the key's| is subtracted from
    // scores, after softcap.
    Tensor alibi_slopes;
    // Which keys a query sees, of those that the rest of the call lets it see: [q_tokens, words] i32; bit j
    // of word i is key 32 i + j, and keys behind the words are not seen. Keys that are not seen are read, and
    // must be finite. Or [q_tokens, keys] u8, a byte other than 0 for a key that is seen: made bits in the
    // workspace, which must have room, by a launch before.
    Tensor mask;
    // Bit 0 is the first query's own key, kv_len - q_len, and keys before it are all seen: trees of drafted
    // tokens. False: it is the sequence's first key.
    bool mask_of_queries = false;

    // Blocks of keys that a query sees, of those that the rest of the call lets it see; of others nothing is
    // read. Queries block_queries b to block_queries (b + 1) - 1 of sequence s, of the heads of kv head h,
    // see the blocks of block_keys keys whose numbers are block_columns[block_starts[s, h, b]] up to, not
    // with, block_columns[block_starts[s, h, b + 1]], each at most once, in any order (FlashInfer's indptr
    // and indices). Numbers of blocks behind a sequence's keys count for nothing.
    Tensor block_starts;    // [sequences, kv_heads or 1 for all, blocks of queries + 1] i32
    Tensor block_columns;   // [listed] i32, from 0 on; predictions go by how many there are
    i64 block_queries = 0;  // a multiple of 16
    i64 block_keys = 0;     // a power of two to 2^29

    // The operation directly before this one in the stream (in a model it appends the queries' own tokens)
    // writes neither q_starts, kv_starts, kv_lengths and page_table nor keys and values before the queries'
    // own, those from kv_len - q_len on. Then those may be read while it still runs, when all before it has
    // ended: a kernel of the caller's that lets this one start early must have waited. rmsnorm,
    // gated_activation, moe_route and moe_combine have not: where one of them is directly before, the same is
    // promised of the operation before it, and so on. Results are the same.
    bool past_is_ready = false;

    // Where few sequences would leave the GPU idle, their keys are split and partial results go here.
    // attention_workspace_bytes says how much is of use; with less, or none, there are fewer splits. Not
    // shared between streams; no content assumed.
    Tensor workspace;  // [bytes] u8
};

// An upper bound for every row on this target that could be chosen for these capacities.
Result<i64> attention_workspace_bytes(Context& context, const Attention& call);

Status prepare(Context& context, const Attention& call, Prepared& prepared);
Status attention(Context& context, Stream stream, const Attention& call);

}  // namespace warpwright
