// SPDX-License-Identifier: Apache-2.0
// PagePool: keys and values of all sequences, in pages that sequences own one by one.
#pragma once

#include <vector>

#include "engine/config.h"
#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

class PagePool {
public:
    static Result<PagePool> create(Context& context, const ModelConfig& config, i64 num_pages,
                                   i64 page_size_tokens);

    i64 page_size_tokens() const { return page_size_tokens_; }
    i64 num_pages() const { return num_pages_; }
    i64 num_free_pages() const { return static_cast<i64>(free_.size()); }
    i64 pages_for(i64 tokens) const { return (tokens + page_size_tokens_ - 1) / page_size_tokens_; }

    // Adds `count` free pages to `pages`; false and no change when there are not that many.
    bool take(i64 count, std::vector<i32>& pages);
    void give_back(std::vector<i32>& pages);

    Tensor k_pages(int layer) const {
        return layer_view(2 * layer);
    }  // [pages, page_size, kv_heads, head_dim]
    Tensor v_pages(int layer) const { return layer_view(2 * layer + 1); }

private:
    Tensor layer_view(int index) const;

    Buffer storage_;
    DType dtype_ = DType::bf16;
    i64 num_pages_ = 0, page_size_tokens_ = 0, kv_heads_ = 0, head_dim_ = 0;
    std::vector<i32> free_;  // used from the back
};

// Of a device's memory, what weights, cache and activations may take: the rest is the driver's, the code's,
// and room for attention workspace.
constexpr double kUsableMemoryShare = 0.9;

// Bytes of keys and values per token, over all layers.
i64 kv_bytes_per_token(const ModelConfig& config);

}  // namespace warpwright
