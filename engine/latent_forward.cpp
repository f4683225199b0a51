// SPDX-License-Identifier: Apache-2.0
#include "engine/latent_forward.h"

#include <limits>
#include <vector>

#include "engine/attention_parts.h"
#include "engine/forward.h"
#include "engine/tensor_views.h"
#include "warpwright/ops/attention.h"
#include "warpwright/ops/dequantize.h"
#include "warpwright/ops/embedding.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/grouped_gemm.h"
#include "warpwright/ops/index_logits.h"
#include "warpwright/ops/index_topk.h"
#include "warpwright/ops/latent_append.h"
#include "warpwright/ops/rmsnorm.h"
#include "warpwright/ops/rope.h"

namespace warpwright {
namespace {

// [pages, page_size, columns] with one head.
Tensor with_head(const Tensor& pages) {
    return Tensor::dense(pages.data, pages.dtype, {pages.shape[0], pages.shape[1], 1, pages.shape[2]});
}

}  // namespace

Status Forward::create_latent(const ForwardShape& largest) {
    const ModelConfig& c = *config_;
    const i64 tokens = largest.tokens;
    const auto allocate = [&](Buffer& buffer, i64 bytes) -> Status {
        WW_ASSIGN(buffer, Buffer::allocate(context_->shared_device(), static_cast<std::size_t>(bytes)));
        return {};
    };
    if (c.latent.q_rank > 0) WW_TRY(allocate(q_, tokens * latent_q_width(c) * dtype_bytes(c.dtype)));
    if (c.has_indexer()) {
        WW_TRY(allocate(index_weights_, tokens * c.indexer.heads * dtype_bytes(DType::f32)));
        WW_TRY(allocate(index_logits_, tokens * largest.max_kv_len * dtype_bytes(DType::f32)));
        WW_TRY(allocate(index_lists_, tokens * c.indexer.top_k * dtype_bytes(DType::i32)));
    }
    WW_TRY(allocate(latent_, latent_space(c, pages_->format(), tokens).bytes));
    const auto filled = [&](Buffer& buffer, const auto& values) -> Status {
        const std::size_t bytes = values.size() * sizeof(values[0]);
        WW_TRY(allocate(buffer, static_cast<i64>(bytes)));
        return context_->device().copy_in(buffer.data(), values.data(), bytes, {});
    };
    // No pass has so many: a product has as many rows as its tensors.
    const std::vector<i32> all(static_cast<std::size_t>(c.num_heads), std::numeric_limits<i32>::max());
    WW_TRY(filled(head_rows_, all));
    const std::vector<i32> zeros(static_cast<std::size_t>(expanded_rows(c, tokens)));
    const std::vector<float> one{1};
    if (!zeros.empty()) {
        WW_TRY(filled(zeros_, zeros));
        WW_TRY(filled(one_, one));
    }
    return context_->device().synchronize({});
}

Mla Forward::mla_call(const ForwardShape& shape, int layer) const {
    const ModelConfig& c = *config_;
    const i64 tokens = shape.tokens, heads = c.num_heads;
    const LatentSpace space = latent_space(c, pages_->format(), largest_tokens_);
    Mla call{
        .q = Tensor::dense(latent_.data(), c.dtype, {tokens, heads, c.latent.cached()}),
        .out = Tensor::dense(latent_.as<std::byte>() + space.absorbed_out, c.dtype,
                             {tokens, heads, c.latent.kv_rank}),
        .cache = pages_->latent_pages(layer),
        .kv_format = pages_->format(),
        .k_scale = weights_->layers[static_cast<std::size_t>(layer)].k_scale,
        .page_table = inputs_->tensor(StepInputs::page_table, shape.sequences),
        .kv_lengths = inputs_->tensor(StepInputs::kv_lengths, shape.sequences),
        .q_starts = inputs_->tensor(StepInputs::q_starts, shape.sequences + 1),
        .max_q_len = shape.max_q_len,
        .max_kv_len = shape.max_kv_len,
        .scale = static_cast<float>(c.attention_scale),
        .workspace = Tensor::dense(workspace_.data(), DType::u8, {static_cast<i64>(workspace_.bytes())})};
    if (c.has_indexer()) {
        call.page_table = call.kv_lengths = {};
        call.indices = Tensor::dense(index_lists_.data(), DType::i32, {tokens, c.indexer.top_k});
    }
    return call;
}

// From normed, and queries and keys of the products, to lists of keys.
Status Forward::prepare_index(int layer, const ForwardShape& shape, Prepared& prepared) {
    using warpwright::prepare;
    const ModelConfig& c = *config_;
    const LayerWeights& w = weights_->layers[static_cast<std::size_t>(layer)];
    const i64 tokens = shape.tokens, heads = c.indexer.heads, dim = c.indexer.dim, turns = c.latent.rope_dim;
    const Tensor qkv = rows(qkv_, tokens, latent_qkv_width(c));
    const Tensor key = columns_of(qkv, latent_column(c) + c.latent.cached(), dim);
    const Tensor q =
        heads_of(rows(q_, tokens, latent_q_width(c)), c.num_heads * latent_query_dim(c.latent), heads, dim);
    const RmsNorm norm{.x = key,
                       .weight = w.index_k_norm,
                       .out = key,
                       .epsilon = static_cast<float>(c.indexer.norm_eps),
                       .bias = w.index_k_bias};
    WW_TRY(prepare(*context_, norm, prepared));
    const Gemm weights{.a = rows(normed_, tokens, c.hidden_size),
                       .b = w.index_weights,
                       .d = Tensor::dense(index_weights_.data(), DType::f32, {tokens, heads}),
                       .b_is_constant = true};
    WW_TRY(prepare(*context_, weights, prepared));
    const Tensor cache = pages_->index_pages(layer);
    const Tensor page_table = inputs_->tensor(StepInputs::page_table, shape.sequences);
    const Tensor sequences = inputs_->tensor(StepInputs::sequence_of_token, tokens);
    Rope rope{.q = columns_of(q, 0, turns),
              .k = heads_of(key, 0, 1, turns),
              .positions = inputs_->tensor(StepInputs::positions, tokens),
              .frequency = Tensor::dense(rope_.frequency.data(), DType::f32, {turns / 2}),
              .magnitude = rope_.magnitude,
              .interleaved = c.indexer.interleaved,
              .positions_are_ready = true};
    const bool are_codes = pages_->format() != KvFormat::same;
    if (!are_codes) {
        const Tensor pages = with_head(cache);
        rope.v = heads_of(key, turns, 1, dim - turns);
        rope.sequences = sequences;
        rope.page_table = page_table;
        rope.k_pages = columns_of(pages, 0, turns);
        rope.v_pages = columns_of(pages, turns, dim - turns);
    }
    WW_TRY(prepare(*context_, rope, prepared));
    if (are_codes) {
        const LatentAppend append{.x = key,
                                  .sequences = sequences,
                                  .positions = rope.positions,
                                  .page_table = page_table,
                                  .pages = cache,
                                  .scale = kIndexScale,
                                  .least_amax = kIndexLeastAmax};
        WW_TRY(prepare(*context_, append, prepared));
    }
    const IndexLogits scores{
        .q = q,
        .weights = weights.d,
        .logits = Tensor::dense(index_logits_.data(), DType::f32, {tokens, shape.max_kv_len}),
        .cache = cache,
        .page_table = page_table,
        .kv_lengths = inputs_->tensor(StepInputs::kv_lengths, shape.sequences),
        .q_starts = inputs_->tensor(StepInputs::q_starts, shape.sequences + 1),
        .max_q_len = shape.max_q_len,
        .max_kv_len = shape.max_kv_len};
    WW_TRY(prepare(*context_, scores, prepared));
    const IndexTopk lists{.logits = scores.logits,
                          .indices = mla_call(shape, layer).indices,
                          .kv_lengths = scores.kv_lengths,
                          .q_starts = scores.q_starts,
                          .page_table = page_table,
                          .page_size = pages_->page_size_tokens(),
                          .max_q_len = shape.max_q_len,
                          .max_kv_len = shape.max_kv_len};
    return prepare(*context_, lists, prepared);
}

// [tokens, heads, k] by [heads, n, k], to [tokens, heads, n].
Status Forward::prepare_by_head(const Tensor& a, const Tensor& b, const Tensor& d, Prepared& prepared) {
    const GroupedGemm product{
        .a = by_head(a),
        .b = b,
        .d = by_head(d),
        .b_is_constant = true,
        .rows_of_group = Tensor::dense(head_rows_.data(), DType::i32, {config_->num_heads})};
    return warpwright::prepare(*context_, product, prepared);
}

// As they come of their products.
Tensor Forward::latent_queries(i64 tokens) const {
    const ModelConfig& c = *config_;
    const bool of_rank = c.latent.q_rank > 0;
    const Tensor row =
        of_rank ? rows(q_, tokens, latent_q_width(c)) : rows(qkv_, tokens, latent_qkv_width(c));
    return heads_of(row, 0, c.num_heads, latent_query_dim(c.latent));
}

// Of queries in place, and of what is cached, to its pages.
Rope Forward::latent_rope(const ForwardShape& shape, int layer) const {
    const ModelConfig& c = *config_;
    const LatentConfig& latent = c.latent;
    const i64 tokens = shape.tokens, first = latent_column(c);
    const Tensor qkv = rows(qkv_, tokens, latent_qkv_width(c)),
                 pages = with_head(pages_->latent_pages(layer));
    const Tensor& scale = weights_->layers[static_cast<std::size_t>(layer)].k_scale;
    return {.q = columns_of(latent_queries(tokens), latent.nope_dim, latent.rope_dim),
            .k = heads_of(qkv, first + latent.kv_rank, 1, latent.rope_dim),
            .positions = inputs_->tensor(StepInputs::positions, tokens),
            .frequency = Tensor::dense(rope_.frequency.data(), DType::f32, {latent.rope_dim / 2}),
            .magnitude = rope_.magnitude,
            .interleaved = c.rope.interleaved,
            .v = heads_of(qkv, first, 1, latent.kv_rank),
            .sequences = inputs_->tensor(StepInputs::sequence_of_token, tokens),
            .page_table = inputs_->tensor(StepInputs::page_table, shape.sequences),
            .k_pages = columns_of(pages, latent.kv_rank, latent.rope_dim),
            .v_pages = columns_of(pages, 0, latent.kv_rank),
            .kv_format = pages_->format(),
            .k_scale = scale,
            .v_scale = scale,
            .positions_are_ready = true};
}

// From queries to attended.
Status Forward::prepare_absorbed(int layer, const ForwardShape& shape, Prepared& prepared) {
    using warpwright::prepare;
    const ModelConfig& c = *config_;
    const LatentConfig& latent = c.latent;
    const LayerWeights& w = weights_->layers[static_cast<std::size_t>(layer)];
    const Mla whole = mla_call(shape, layer);
    WW_TRY(prepare_by_head(columns_of(latent_queries(shape.tokens), 0, latent.nope_dim), w.absorbed_keys,
                           columns_of(whole.q, 0, latent.kv_rank), prepared));
    Rope rope = latent_rope(shape, layer);
    rope.q_out = columns_of(whole.q, latent.kv_rank, latent.rope_dim);
    WW_TRY(prepare(*context_, rope, prepared));
    if (c.has_indexer()) {
        WW_TRY(prepare_index(layer, shape, prepared));
        WW_TRY(prepare(*context_, whole, prepared));  // by lists, whose sequence nothing depends on
    } else {
        for (const Mla& call : by_kind(whole, shape, prepared.batch_invariant))
            WW_TRY(prepare(*context_, call, prepared));
    }
    Tensor values = w.kv_b;
    values.shape[1] = latent.value_dim;
    const Tensor attended = rows(attended_, shape.tokens, c.attended_width());
    return prepare_by_head(whole.out, values, heads_of(attended, 0, c.num_heads, latent.value_dim), prepared);
}

// To the front of latent_: `count` rows of the layer's pages, as numbers.
Status Forward::gather_latents(int layer, i64 count, Prepared& prepared) {
    using warpwright::prepare;
    const ModelConfig& c = *config_;
    const i64 cached = c.latent.cached(), slots = pages_->num_pages() * pages_->page_size_tokens();
    const Tensor ids = inputs_->tensor(StepInputs::kv_slots, count);
    void* const cache = pages_->latent_pages(layer).data;
    const Tensor numbers = rows(latent_, count, cached);
    if (pages_->format() == KvFormat::same) {
        const Embedding gather{
            .ids = ids, .table = Tensor::dense(cache, c.dtype, {slots, cached}), .out = numbers};
        return prepare(*context_, gather, prepared);
    }
    const LatentSpace space = latent_space(c, pages_->format(), largest_tokens_);
    std::byte* const codes = latent_.as<std::byte>() + space.codes;
    // Two codes move as one number of 16 bits.
    const Embedding gather{.ids = ids,
                           .table = Tensor::dense(cache, c.dtype, {slots, cached / 2}),
                           .out = Tensor::dense(codes, c.dtype, {count, cached / 2})};
    WW_TRY(prepare(*context_, gather, prepared));
    const Tensor& scale = weights_->layers[static_cast<std::size_t>(layer)].k_scale;
    const Dequantize dequantize{.codes = Tensor::dense(codes, DType::u8, {count, cached}),
                                .scales = Tensor::dense(scale ? scale.data : one_.data(), DType::f32, {1, 1}),
                                .format = kFp8PerTensor,
                                .out = numbers};
    return prepare(*context_, dequantize, prepared);
}

// Of queries, after rope, over expanded rows.
Attention Forward::expanded_call(const ForwardShape& shape) const {
    const ModelConfig& c = *config_;
    const LatentConfig& latent = c.latent;
    const i64 heads = c.num_heads, prompts = shape.sequences - shape.decoding;
    const i64 count = std::min(rows_to_expand(shape), expanded_rows(c, largest_tokens_));
    const LatentSpace space = latent_space(c, pages_->format(), largest_tokens_);
    const Tensor expanded = Tensor::dense(latent_.as<std::byte>() + space.expanded, c.dtype,
                                          {count, heads, expanded_width(latent)});
    Attention call;
    call.q = latent_queries(shape.tokens);
    call.out = heads_of(rows(attended_, shape.tokens, c.attended_width()), 0, heads, latent.value_dim);
    call.k = columns_of(expanded, latent.value_dim, latent_query_dim(latent));
    call.v = columns_of(expanded, 0, latent.value_dim);
    call.kv_starts = inputs_->tensor(StepInputs::kv_starts, prompts + 1);
    // Queries of sequences that decode come before the first start.
    const Tensor starts = inputs_->tensor(StepInputs::q_starts, shape.sequences + 1);
    call.q_starts = rows_of(starts, shape.decoding, prompts + 1);
    call.max_q_len = shape.max_q_len;
    call.max_kv_len = std::min(shape.max_kv_len, count);
    call.scale = static_cast<float>(c.attention_scale);
    call.workspace = Tensor::dense(workspace_.data(), DType::u8, {static_cast<i64>(workspace_.bytes())});
    return call;
}

// Likewise, of the sequences that do not decode.
Status Forward::prepare_expanded(int layer, const ForwardShape& shape, Prepared& prepared) {
    using warpwright::prepare;
    const LatentConfig& latent = config_->latent;
    const LayerWeights& w = weights_->layers[static_cast<std::size_t>(layer)];
    const i64 heads = config_->num_heads, count = rows_to_expand(shape);
    const i64 decoding = shape.decoding, tokens = shape.tokens - decoding;
    Rope rope = latent_rope(shape, layer);
    for (Tensor* tensor : {&rope.q, &rope.k, &rope.v, &rope.positions, &rope.sequences})
        *tensor = rows_of(*tensor, decoding, tokens);
    WW_TRY(prepare(*context_, rope, prepared));
    WW_TRY(gather_latents(layer, count, prepared));

    const Attention attention = expanded_call(shape);
    const Tensor row = rows(latent_, count, latent.cached());
    const auto for_all_heads = [heads](Tensor part) {  // the same for each
        part = heads_of(part, 0, heads, part.shape[1]);
        part.stride[1] = 0;
        return part;
    };
    Tensor values_and_keys = attention.v;
    values_and_keys.shape[2] = latent.value_dim + latent.nope_dim;
    WW_TRY(prepare_by_head(for_all_heads(columns_of(row, 0, latent.kv_rank)), w.kv_b, values_and_keys,
                           prepared));
    // Turned already: nothing turns at position 0.
    const Tensor turned = for_all_heads(columns_of(row, latent.kv_rank, latent.rope_dim));
    const Rope copies{.q = turned,
                      .k = heads_of(turned, 0, 0, latent.rope_dim),
                      .positions = Tensor::dense(zeros_.data(), DType::i32, {count}),
                      .frequency = rope.frequency,
                      .q_out = columns_of(attention.k, latent.nope_dim, latent.rope_dim),
                      .positions_are_ready = true};
    WW_TRY(prepare(*context_, copies, prepared));
    return prepare(*context_, attention, prepared);
}

// From normed to delta.
Status Forward::prepare_latent(int layer, const ForwardShape& shape, Prepared& prepared) {
    const ModelConfig& c = *config_;
    const LatentConfig& latent = c.latent;
    const LayerWeights& w = weights_->layers[static_cast<std::size_t>(layer)];
    const i64 tokens = shape.tokens;
    const Tensor normed = rows(normed_, tokens, c.hidden_size);
    const Tensor qkv = rows(qkv_, tokens, latent_qkv_width(c));
    const Tensor row = columns_of(qkv, latent_column(c), latent.kv_rank);

    WW_TRY(prepare_product(w.qkv, normed, !c.has_indexer(), {}, qkv, prepared));
    if (latent.q_rank > 0) {
        const Tensor of_rank = columns_of(qkv, 0, latent.q_rank);
        WW_TRY(prepare_norm(of_rank, w.q_a_norm, of_rank, {}, &w.q_b, prepared, latent.norm_eps));
        WW_TRY(prepare_norm(row, w.kv_a_norm, row, {}, nullptr, prepared, latent.norm_eps));
        WW_TRY(prepare_product(w.q_b, of_rank, true, {}, rows(q_, tokens, latent_q_width(c)), prepared));
    } else {
        WW_TRY(prepare_norm(row, w.kv_a_norm, row, {}, nullptr, prepared, latent.norm_eps));
    }
    if (!shape.expands) {
        WW_TRY(prepare_absorbed(layer, shape, prepared));
    } else {
        if (const i64 decoding = shape.decoding; decoding > 0)
            WW_TRY(prepare_absorbed(layer, {decoding, decoding, 1, shape.max_kv_len}, prepared));
        WW_TRY(prepare_expanded(layer, shape, prepared));
    }
    const Tensor attended = rows(attended_, tokens, c.attended_width());
    return prepare_product(w.o, attended, false, {}, rows(delta_, tokens, c.hidden_size), prepared);
}

}  // namespace warpwright
