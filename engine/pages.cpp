// SPDX-License-Identifier: Apache-2.0
#include "engine/pages.h"

#include "kernels/attention/index_logits/problem.h"

namespace warpwright {
namespace {

// Of an indexer's key, of the type of the pages: codes have a scale behind them.
i64 index_columns(const ModelConfig& config, KvFormat format) {
    if (!config.has_indexer()) return 0;
    return config.indexer.dim + (format == KvFormat::same ? 0 : kIndexRecordBytes - kIndexDim);
}

}  // namespace

i64 kv_bytes_per_token(const ModelConfig& config, KvFormat format) {
    const i64 values =
        config.is_latent() ? config.latent.cached() : i64{2} * config.num_kv_heads * config.head_dim;
    return config.num_layers * (values + index_columns(config, format)) *
           dtype_bytes(kv_dtype(format, config.dtype));
}

Result<PagePool> PagePool::create(Context& context, const ModelConfig& config, KvFormat format, i64 num_pages,
                                  i64 page_size_tokens) {
    PagePool pool;
    pool.format_ = format;
    pool.dtype_ = kv_dtype(format, config.dtype);
    pool.num_pages_ = num_pages;
    pool.page_size_tokens_ = page_size_tokens;
    pool.kv_heads_ = config.num_kv_heads;
    pool.head_dim_ = config.is_latent() ? config.latent.cached() : config.head_dim;
    pool.index_columns_ = index_columns(config, format);
    pool.num_layers_ = config.num_layers;
    const i64 token_bytes = kv_bytes_per_token(config, format);
    const auto bytes = static_cast<std::size_t>(token_bytes * page_size_tokens * num_pages);
    WW_ASSIGN(pool.storage_, Buffer::allocate(context.shared_device(), bytes));
    return pool;
}

Tensor PagePool::layer_view(int index) const {
    const i64 elements = num_pages_ * page_size_tokens_ * kv_heads_ * head_dim_;
    auto* start = storage_.as<std::byte>() + index * elements * dtype_bytes(dtype_);
    return Tensor::dense(start, dtype_, {num_pages_, page_size_tokens_, kv_heads_, head_dim_});
}

Tensor PagePool::latent_pages(int layer) const {
    const i64 elements = num_pages_ * page_size_tokens_ * head_dim_;
    auto* start = storage_.as<std::byte>() + layer * elements * dtype_bytes(dtype_);
    return Tensor::dense(start, dtype_, {num_pages_, page_size_tokens_, head_dim_});
}

// Behind the latent pages of all layers.
Tensor PagePool::index_pages(int layer) const {
    const i64 tokens = num_pages_ * page_size_tokens_;
    const i64 before = tokens * (num_layers_ * head_dim_ + layer * index_columns_);
    auto* start = storage_.as<std::byte>() + before * dtype_bytes(dtype_);
    return Tensor::dense(start, dtype_, {num_pages_, page_size_tokens_, index_columns_});
}

}  // namespace warpwright
