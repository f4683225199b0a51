// SPDX-License-Identifier: Apache-2.0
// Tensors that have a leading dimension of groups (warpwright/grouping.h), or not.
#pragma once

#include "ops/match.h"

namespace warpwright {

// A group's part.
inline Tensor of_group(const Tensor& tensor, bool groups) {
    if (!groups || !tensor) return tensor;
    Tensor inner{tensor.data, tensor.dtype, tensor.rank - 1, {}, {}};
    for (int i = 0; i < inner.rank; ++i) {
        inner.shape[i] = tensor.shape[i + 1];
        inner.stride[i] = tensor.stride[i + 1];
    }
    return inner;
}

// In elements.
inline i64 group_stride(const Tensor& tensor, bool groups) {
    return groups && tensor ? tensor.stride[0] : 0;
}

// Matches [rows, columns], with `groups` [groups, rows, columns].
inline void match_matrix(Matcher& match, const char* name, const Tensor& tensor, bool groups,
                         const char* rows, const char* columns, std::initializer_list<DType> types,
                         bool optional = false) {
    const Matcher::Options options{.optional = optional};
    groups ? match.tensor(name, tensor, {"groups", rows, columns}, types, options)
           : match.tensor(name, tensor, {rows, columns}, types, options);
}

}  // namespace warpwright
