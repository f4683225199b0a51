// SPDX-License-Identifier: Apache-2.0
// Strides of new keys and values and of their pages, as kernels take them.
#pragma once

#include "kernels/fused/kv_append/problem.h"
#include "warpwright/tensor.h"

namespace warpwright {

inline KvStrides kv_strides_of(const Tensor& values) {
    return {.token = values.stride[0], .head = values.stride[1]};
}
inline KvPageStrides kv_page_strides_of(const Tensor& pages) {
    return {.page = pages.stride[0], .slot = pages.stride[1], .head = pages.stride[2]};
}

}  // namespace warpwright
