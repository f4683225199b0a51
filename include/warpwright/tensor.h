// SPDX-License-Identifier: Apache-2.0
// Tensor: a typed, strided view of memory that somebody else owns.
#pragma once

#include <array>
#include <initializer_list>

#include "warpwright/types.h"

namespace warpwright {

struct Tensor {
    static constexpr int kMaxRank = 4;

    void* data = nullptr;
    DType dtype = DType::f32;
    int rank = 0;
    std::array<i64, kMaxRank> shape{};
    std::array<i64, kMaxRank> stride{};  // in elements

    explicit operator bool() const { return data != nullptr; }

    i64 num_elements() const {
        i64 count = 1;
        for (int i = 0; i < rank; ++i) count *= shape[i];
        return count;
    }

    // Dense, row-major.
    static Tensor dense(void* data, DType dtype, std::initializer_list<i64> shape) {
        Tensor tensor{data, dtype, static_cast<int>(shape.size()), {}, {}};
        int axis = 0;
        for (i64 extent : shape) tensor.shape[axis++] = extent;
        i64 stride = 1;
        for (int i = tensor.rank - 1; i >= 0; --i) {
            tensor.stride[i] = stride;
            stride *= tensor.shape[i];
        }
        return tensor;
    }
};

}  // namespace warpwright
