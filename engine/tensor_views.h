// SPDX-License-Identifier: Apache-2.0
// Parts of a tensor as tensors.
#pragma once

#include <cstddef>
#include <utility>

#include "warpwright/tensor.h"

namespace warpwright {

// `heads` heads that start at column `first` of a [tokens, width] tensor, as [tokens, heads, head_dim].
inline Tensor heads_of(const Tensor& rows, i64 first, i64 heads, i64 head_dim) {
    Tensor view = rows;
    view.data = static_cast<std::byte*>(rows.data) + first * dtype_bytes(rows.dtype);
    view.rank = 3;
    view.shape = {rows.shape[0], heads, head_dim};
    view.stride = {rows.stride[0], head_dim, 1};
    return view;
}

// [tokens, heads, columns] as [heads, tokens, columns].
inline Tensor by_head(const Tensor& heads) {
    Tensor view = heads;
    std::swap(view.shape[0], view.shape[1]);
    std::swap(view.stride[0], view.stride[1]);
    return view;
}

inline Tensor rows_of(const Tensor& tensor, i64 first, i64 count) {
    Tensor view = tensor;
    view.data = static_cast<std::byte*>(tensor.data) + first * tensor.stride[0] * dtype_bytes(tensor.dtype);
    view.shape[0] = count;
    return view;
}

// Of the last dimension.
inline Tensor columns_of(const Tensor& rows, i64 first, i64 count) {
    Tensor view = rows;
    view.data = static_cast<std::byte*>(rows.data) + first * dtype_bytes(rows.dtype);
    view.shape[static_cast<std::size_t>(rows.rank) - 1] = count;
    return view;
}

}  // namespace warpwright
