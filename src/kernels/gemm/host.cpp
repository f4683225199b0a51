// SPDX-License-Identifier: Apache-2.0
// gemm on the host: rows of A widened to fp32 once, weights widened in registers, fp32 sums over all of k.
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "device/host_threads.h"
#include "kernels/gemm/host_codes.h"
#include "kernels/gemm/operation.h"
#include "kernels/host_math.h"
#include "kernels/host_simd.h"

namespace warpwright {
namespace {

constexpr i64 kColumns = 32;           // of D at a time: their weights stay in a core's cache for all rows
constexpr i64 kRows = 16;              // of A at a time within those
constexpr i64 kPanelFloats = 1 << 18;  // of widened A: a core's second-level cache
constexpr i64 kAloneFloats = 1 << 15;  // less than this is widened without waking the other threads

template <class T>
float finish(const GemmArgs& args, i64 m, i64 n, float value) {
    if (args.bias != nullptr) value += T::load(args.bias, n);
    if (args.gate != nullptr) {
        value *= activate(args.activation, T::load(args.gate, m * args.gate_stride + n));
    } else {
        value = activate(args.activation, value);
    }
    if (args.residual != nullptr) {
        const i64 index = m * args.residual_stride + n;
        value +=
            args.out_f32 ? static_cast<const float*>(args.residual)[index] : T::load(args.residual, index);
    }
    return value;
}

template <class T, DType type>
void gemm(const void* raw, HostThreads& threads) {
    const GemmArgs& args = *static_cast<const GemmArgs*>(raw);
    const HostSimd& simd = host_simd();
    const auto products = products_of(simd, type);
    const auto widen = widen_of(simd, type);
    const u16* a = static_cast<const u16*>(args.a);
    const u16* b = static_cast<const u16*>(args.b);
    const i64 x_stride = round_up(args.k, 16);
    const i64 panel_rows = std::clamp<i64>(kPanelFloats / x_stride, 1, args.m);
    static thread_local std::vector<float> buffer;  // grows to the largest panel of this thread's calls
    if (static_cast<i64>(buffer.size()) < panel_rows * x_stride) buffer.resize(panel_rows * x_stride);
    float* const x = buffer.data();

    for (i64 first = 0; first < args.m; first += panel_rows) {
        const i64 rows = std::min<i64>(panel_rows, args.m - first);
        const auto widen_rows = [&](i64 begin, i64 end) {
            for (i64 i = begin; i < end; ++i)
                widen(a + (first + i) * args.a_stride, args.k, x + i * x_stride);
        };
        if (rows * args.k < kAloneFloats) {
            widen_rows(0, rows);
        } else {
            threads.parallel_for(rows, 1, widen_rows);
        }
        threads.parallel_for(args.n, 8, [&](i64 begin, i64 end) {
            float sums[kRows * kColumns];
            u32 magnitude = 0;  // fp32's bits: NaN's are above all numbers'
            for (i64 n = begin; n < end; n += kColumns) {
                const i64 columns = std::min(kColumns, end - n);
                for (i64 i = 0; i < rows; i += kRows) {
                    const i64 height = std::min(kRows, rows - i);
                    products(x + i * x_stride, x_stride, static_cast<int>(height), b + n * args.b_stride,
                             args.b_stride, static_cast<int>(columns), args.k, sums, kColumns);
                    for (i64 r = 0; r < height; ++r) {
                        for (i64 c = 0; c < columns; ++c) {
                            const i64 m = first + i + r;
                            const float value = finish<T>(args, m, n + c, sums[r * kColumns + c]);
                            const i64 index = m * args.d_stride + n + c;
                            if (args.d_scale != nullptr) {
                                static_cast<u8*>(args.d)[index] = encode(args, value);
                                magnitude = std::max(magnitude, std::bit_cast<u32>(std::abs(value)));
                            } else if (args.out_f32) {
                                static_cast<float*>(args.d)[index] = value;
                            } else {
                                T::store(args.d, index, value);
                            }
                        }
                    }
                }
            }
            if (args.d_amax != nullptr) raise_amax(args.d_amax, magnitude);
        });
    }
}

}  // namespace

HostFunction GemmOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? gemm<HostBf16, DType::bf16> : gemm<HostHalf, DType::f16>;
}

}  // namespace warpwright
