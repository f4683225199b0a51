// SPDX-License-Identifier: Apache-2.0
// PagePool: the memory of keys and values of all sequences, in pages. Whose they are is PageCache's.
#pragma once

#include "engine/config.h"
#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

class PagePool {
public:
    static Result<PagePool> create(Context& context, const ModelConfig& config, KvFormat format,
                                   i64 num_pages, i64 page_size_tokens);

    i64 page_size_tokens() const { return page_size_tokens_; }
    i64 num_pages() const { return num_pages_; }
    KvFormat format() const { return format_; }

    // [pages, page_size, kv_heads, head_dim], of the model's type, or u8 for codes
    Tensor k_pages(int layer) const { return layer_view(2 * layer); }
    Tensor v_pages(int layer) const { return layer_view(2 * layer + 1); }
    // With latent attention, in place of them: [pages, page_size, kv_rank + rope_dim], likewise
    Tensor latent_pages(int layer) const;
    // Of an indexer, beside them: [pages, page_size, indexer.dim], of the model's type; or u8, of codes and
    // scales as index_logits reads them
    Tensor index_pages(int layer) const;

private:
    Tensor layer_view(int index) const;

    Buffer storage_;
    KvFormat format_ = KvFormat::same;
    DType dtype_ = DType::bf16;
    i64 num_pages_ = 0, page_size_tokens_ = 0, kv_heads_ = 0, head_dim_ = 0, index_columns_ = 0;
    i64 num_layers_ = 0;
};

// Of a device's memory, what weights, cache and activations may take: the rest is the driver's, the code's,
// and room for attention workspace.
constexpr double kUsableMemoryShare = 0.9;

// Bytes of keys and values per token, over all layers.
i64 kv_bytes_per_token(const ModelConfig& config, KvFormat format);

}  // namespace warpwright
