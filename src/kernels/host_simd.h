// SPDX-License-Identifier: Apache-2.0
// The inner loops of host rows, compiled for several instruction sets and chosen once at run time. A result
// depends on the instruction set but never on how rows or columns are grouped into calls: every output is one
// sum over k in one order.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

// 16-bit types are bf16 or f16; the second of each pair of functions is for f16.
struct HostSimd {
    const char* name;  // "avx512", "avx2", "baseline"

    // out[i * out_stride + j] = sum_k x[i * x_stride + k] w[j * w_stride + k], i < rows, j < columns.
    using Products = void (*)(const float* x, i64 x_stride, int rows, const u16* w, i64 w_stride, int columns,
                              i64 k, float* out, i64 out_stride);
    Products products_bf16;
    Products products_f16;

    // y[k] += scale * v[k]
    using AddScaled = void (*)(float scale, const u16* v, i64 count, float* y);
    AddScaled add_scaled_bf16;
    AddScaled add_scaled_f16;

    // Exact conversions.
    using Widen = void (*)(const u16* from, i64 count, float* to);
    Widen widen_bf16;
    Widen widen_f16;

    // Rounded to nearest even, as float_to_bf16 and float_to_f16 do it.
    using Narrow = void (*)(const float* from, i64 count, u16* to);
    Narrow narrow_bf16;
    Narrow narrow_f16;

    // c[i * c_stride + j] += scale * sum_k a[i * a_stride + k * a_k_stride] b[k * b_stride + j],
    // i < rows, j < columns: with a_stride 1, a is read as its transpose.
    using MultiplyAdd = void (*)(float scale, const float* a, i64 a_stride, i64 a_k_stride, const float* b,
                                 i64 b_stride, i64 rows, i64 columns, i64 k, float* c, i64 c_stride);
    MultiplyAdd multiply_add;
};

const HostSimd& host_simd();

inline HostSimd::Products products_of(const HostSimd& simd, DType type) {
    return type == DType::bf16 ? simd.products_bf16 : simd.products_f16;
}
inline HostSimd::AddScaled add_scaled_of(const HostSimd& simd, DType type) {
    return type == DType::bf16 ? simd.add_scaled_bf16 : simd.add_scaled_f16;
}
inline HostSimd::Widen widen_of(const HostSimd& simd, DType type) {
    return type == DType::bf16 ? simd.widen_bf16 : simd.widen_f16;
}

inline HostSimd::Narrow narrow_of(const HostSimd& simd, DType type) {
    return type == DType::bf16 ? simd.narrow_bf16 : simd.narrow_f16;
}

// Every set this CPU can execute, best first: for tests.
struct HostSimdList {
    const HostSimd* sets[3];
    int count;
};
HostSimdList host_simd_sets();

}  // namespace warpwright
