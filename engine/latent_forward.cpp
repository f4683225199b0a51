// SPDX-License-Identifier: Apache-2.0
#include "engine/latent_forward.h"

#include <limits>
#include <vector>

#include "engine/attention_parts.h"
#include "engine/forward.h"
#include "engine/tensor_views.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/grouped_gemm.h"
#include "warpwright/ops/index_logits.h"
#include "warpwright/ops/index_topk.h"
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
    const i64 row = tokens * c.num_heads * dtype_bytes(c.dtype);
    if (c.latent.q_rank > 0) WW_TRY(allocate(q_, tokens * latent_q_width(c) * dtype_bytes(c.dtype)));
    if (c.has_indexer()) {
        WW_TRY(allocate(index_weights_, tokens * c.indexer.heads * dtype_bytes(DType::f32)));
        WW_TRY(allocate(index_logits_, tokens * largest.max_kv_len * dtype_bytes(DType::f32)));
        WW_TRY(allocate(index_lists_, tokens * c.indexer.top_k * dtype_bytes(DType::i32)));
    }
    WW_TRY(allocate(absorbed_, row * c.latent.cached()));
    WW_TRY(allocate(latent_, row * c.latent.kv_rank));
    // No pass has so many: a product has as many rows as its tensors.
    const std::vector<i32> all(static_cast<std::size_t>(c.num_heads), std::numeric_limits<i32>::max());
    const std::size_t bytes = all.size() * sizeof(i32);
    WW_TRY(allocate(head_rows_, static_cast<i64>(bytes)));
    WW_TRY(context_->device().copy_in(head_rows_.data(), all.data(), bytes, {}));
    return context_->device().synchronize({});
}

Mla Forward::mla_call(const ForwardShape& shape, int layer) const {
    const ModelConfig& c = *config_;
    const i64 tokens = shape.tokens, heads = c.num_heads;
    Mla call{
        .q = Tensor::dense(absorbed_.data(), c.dtype, {tokens, heads, c.latent.cached()}),
        .out = Tensor::dense(latent_.data(), c.dtype, {tokens, heads, c.latent.kv_rank}),
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
    const Tensor cache = pages_->index_pages(layer), pages = with_head(cache);
    const Tensor page_table = inputs_->tensor(StepInputs::page_table, shape.sequences);
    const Rope rope{.q = columns_of(q, 0, turns),
                    .k = heads_of(key, 0, 1, turns),
                    .positions = inputs_->tensor(StepInputs::positions, tokens),
                    .frequency = Tensor::dense(rope_.frequency.data(), DType::f32, {turns / 2}),
                    .magnitude = rope_.magnitude,
                    .interleaved = c.indexer.interleaved,
                    .v = heads_of(key, turns, 1, dim - turns),
                    .sequences = inputs_->tensor(StepInputs::sequence_of_token, tokens),
                    .page_table = page_table,
                    .k_pages = columns_of(pages, 0, turns),
                    .v_pages = columns_of(pages, turns, dim - turns),
                    .positions_are_ready = true};
    WW_TRY(prepare(*context_, rope, prepared));
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

// From normed to delta.
Status Forward::prepare_latent(int layer, const ForwardShape& shape, Prepared& prepared) {
    using warpwright::prepare;
    const ModelConfig& c = *config_;
    const LatentConfig& latent = c.latent;
    const LayerWeights& w = weights_->layers[static_cast<std::size_t>(layer)];
    const i64 tokens = shape.tokens, heads = c.num_heads, query = latent_query_dim(latent);
    const i64 first = latent_column(c);
    const Tensor normed = rows(normed_, tokens, c.hidden_size);
    const Tensor qkv = rows(qkv_, tokens, latent_qkv_width(c));
    const Tensor row = columns_of(qkv, first, latent.kv_rank);
    const Tensor attended = rows(attended_, tokens, c.attended_width());

    WW_TRY(prepare_product(w.qkv, normed, !c.has_indexer(), {}, qkv, prepared));
    Tensor queries = heads_of(qkv, 0, heads, query);
    if (latent.q_rank > 0) {
        const Tensor of_rank = columns_of(qkv, 0, latent.q_rank);
        const Tensor q = rows(q_, tokens, latent_q_width(c));
        WW_TRY(prepare_norm(of_rank, w.q_a_norm, of_rank, {}, &w.q_b, prepared, latent.norm_eps));
        WW_TRY(prepare_norm(row, w.kv_a_norm, row, {}, nullptr, prepared, latent.norm_eps));
        WW_TRY(prepare_product(w.q_b, of_rank, true, {}, q, prepared));
        queries = heads_of(q, 0, heads, query);
    } else {
        WW_TRY(prepare_norm(row, w.kv_a_norm, row, {}, nullptr, prepared, latent.norm_eps));
    }

    const Mla whole = mla_call(shape, layer);
    WW_TRY(prepare_by_head(columns_of(queries, 0, latent.nope_dim), latent_keys(c, w),
                           columns_of(whole.q, 0, latent.kv_rank), prepared));
    const Tensor pages = with_head(whole.cache);
    const Rope rope{.q = columns_of(queries, latent.nope_dim, latent.rope_dim),
                    .k = heads_of(qkv, first + latent.kv_rank, 1, latent.rope_dim),
                    .positions = inputs_->tensor(StepInputs::positions, tokens),
                    .frequency = Tensor::dense(rope_.frequency.data(), DType::f32, {latent.rope_dim / 2}),
                    .magnitude = rope_.magnitude,
                    .interleaved = c.rope.interleaved,
                    .q_out = columns_of(whole.q, latent.kv_rank, latent.rope_dim),
                    .v = heads_of(qkv, first, 1, latent.kv_rank),
                    .sequences = inputs_->tensor(StepInputs::sequence_of_token, tokens),
                    .page_table = inputs_->tensor(StepInputs::page_table, shape.sequences),
                    .k_pages = columns_of(pages, latent.kv_rank, latent.rope_dim),
                    .v_pages = columns_of(pages, 0, latent.kv_rank),
                    .kv_format = whole.kv_format,
                    .k_scale = whole.k_scale,
                    .v_scale = whole.k_scale,
                    .positions_are_ready = true};
    WW_TRY(prepare(*context_, rope, prepared));
    if (c.has_indexer()) {
        WW_TRY(prepare_index(layer, shape, prepared));
        WW_TRY(prepare(*context_, whole, prepared));  // by lists, whose sequence nothing depends on
    } else {
        for (const Mla& call : by_kind(whole, shape, prepared.batch_invariant))
            WW_TRY(prepare(*context_, call, prepared));
    }
    WW_TRY(prepare_by_head(whole.out, latent_values(c, w), heads_of(attended, 0, heads, latent.value_dim),
                           prepared));
    return prepare_product(w.o, attended, false, {}, rows(delta_, tokens, c.hidden_size), prepared);
}

}  // namespace warpwright
