// SPDX-License-Identifier: Apache-2.0
// quantized_gemm on the host: rows of A widened to fp32 once; codes of 32 rows of W made 16-bit numbers,
// which is exact, and multiplied group by group; sums of a group are scaled in fp32.
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "device/host_threads.h"
#include "kernels/gemm/host_codes.h"
#include "kernels/gemm/host_groups.h"
#include "kernels/host_math.h"
#include "kernels/host_simd.h"
#include "kernels/quantized_gemm/operation.h"
#include "kernels/quantized_gemm/pack.h"

namespace warpwright {
namespace {

constexpr i64 kColumns = 32;           // of D at a time: their weights stay in a core's cache for all rows
constexpr i64 kRows = 16;              // of A at a time within those
constexpr i64 kPanelFloats = 1 << 18;  // of widened A

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

// Rows n .. n + columns - 1 of W as numbers of type T, [columns, k], less their zero points, and their
// scales, [columns, groups].
struct Panel {
    std::vector<u16> values;
    std::vector<float> scales;
    std::vector<u8> codes;
};

template <class T>
void dequantise(Panel& panel, const QuantizedGemmArgs& args, WeightFormat format, i64 group, i64 n,
                i64 columns) {
    const i64 k = args.gemm.k, num_groups = k / group;
    panel.values.resize(static_cast<std::size_t>(columns * k));
    panel.scales.resize(static_cast<std::size_t>(columns * num_groups));
    panel.codes.resize(static_cast<std::size_t>(k));
    for (i64 c = 0; c < columns; ++c) {
        read_packed_codes(format, static_cast<const u8*>(args.gemm.b), k, n + c, 0, k, panel.codes.data());
        for (i64 g = 0; g < num_groups; ++g) {
            const i64 index = packed_scale_index(n + c, g, args.num_groups);
            panel.scales[c * num_groups + g] = scale_to_float(format, args.scale, args.scales, index);
            const int zero =
                args.zeros == nullptr ? facts_of(format).zero : static_cast<const u8*>(args.zeros)[index];
            for (i64 i = g * group; i < (g + 1) * group; ++i) {
                T::store(panel.values.data(), c * k + i, code_to_float(format, panel.codes[i], zero));
            }
        }
    }
}

template <class T>
void widen(const GemmArgs& args, const i32* order, i64 m, float* to) {
    for (i64 i = 0; i < args.k; ++i)
        to[i] = T::load(args.a, m * args.a_stride + (order == nullptr ? i : order[i]));
}

// `height` rows of A times the panel, into sums[height, kColumns].
void multiply(const HostSimd::Products products, const Panel& panel, const float* x, i64 height, i64 columns,
              i64 k, i64 group, float* sums) {
    float partial[kRows * kColumns];
    std::fill(sums, sums + kRows * kColumns, 0.0f);
    for (i64 g = 0; g < k / group; ++g) {
        products(x + g * group, k, static_cast<int>(height), panel.values.data() + g * group, k,
                 static_cast<int>(columns), group, partial, kColumns);
        for (i64 r = 0; r < height; ++r) {
            for (i64 c = 0; c < columns; ++c) {
                sums[r * kColumns + c] += panel.scales[c * (k / group) + g] * partial[r * kColumns + c];
            }
        }
    }
}

// Of rows `begin` to `end` of A and D.
template <class T, DType type, WeightFormat format>
void multiply_rows(const QuantizedGemmArgs& args, i64 begin_m, i64 end_m, HostThreads& threads) {
    const GemmArgs& gemm = args.gemm;
    const auto products = products_of(host_simd(), type);
    const i64 k = gemm.k;
    const i64 group = args.group_shift == 31        ? k
                      : args.halves                 ? 32
                      : facts_of(format).group != 0 ? facts_of(format).group
                                                    : i64{kPackedK} << args.group_shift;
    const i64 panel_rows = std::clamp<i64>(kPanelFloats / k, 1, end_m - begin_m);
    std::vector<float> x(static_cast<std::size_t>(panel_rows * k));
    for (i64 first = begin_m; first < end_m; first += panel_rows) {
        const i64 rows = std::min<i64>(panel_rows, end_m - first);
        threads.parallel_for(rows, 1, [&](i64 begin, i64 end) {
            for (i64 i = begin; i < end; ++i) widen<T>(gemm, args.order, first + i, x.data() + i * k);
        });
        threads.parallel_for(gemm.n, 8, [&](i64 begin, i64 end) {
            static thread_local Panel panel;  // grows to the largest of this thread's calls
            float sums[kRows * kColumns];
            u32 magnitude = 0;  // fp32's bits: NaN's are above all numbers'
            for (i64 n = begin; n < end; n += kColumns) {
                const i64 columns = std::min(kColumns, end - n);
                dequantise<T>(panel, args, format, group, n, columns);
                for (i64 i = 0; i < rows; i += kRows) {
                    const i64 height = std::min(kRows, rows - i);
                    multiply(products, panel, x.data() + i * k, height, columns, k, group, sums);
                    for (i64 r = 0; r < height; ++r) {
                        for (i64 c = 0; c < columns; ++c) {
                            const i64 m = first + i + r, index = m * gemm.d_stride + n + c;
                            const float sum = sums[r * kColumns + c] * args.global_scale;
                            const float value = finish<T>(gemm, m, n + c, sum);
                            if (gemm.d_scale != nullptr) {
                                static_cast<u8*>(gemm.d)[index] = encode(gemm, value);
                                magnitude = std::max(magnitude, std::bit_cast<u32>(std::abs(value)));
                            } else if (gemm.out_f32) {
                                static_cast<float*>(gemm.d)[index] = value;
                            } else {
                                T::store(gemm.d, index, value);
                            }
                        }
                    }
                }
            }
            if (gemm.d_amax != nullptr) raise_amax(gemm.d_amax, magnitude);
        });
    }
}

template <class T, DType type, WeightFormat format>
void quantized_gemm(const void* raw, HostThreads& threads) {
    const QuantizedGemmArgs& args = *static_cast<const QuantizedGemmArgs*>(raw);
    for (const GroupRows& rows : rows_of_groups(args.groups, args.gemm.m)) {
        if (rows.begin == rows.end) continue;
        QuantizedGemmArgs mine = args;
        const i64 group = rows.group;
        mine.gemm.b = moved(args.gemm.b, group * args.groups.b_stride, 1);
        mine.scales = moved(args.scales, group * args.scale_stride, args.scale_bytes);
        mine.zeros = moved(args.zeros, group * args.scale_stride, 1);
        if (args.order != nullptr) mine.order += group * args.gemm.k;
        if (args.global_scales != nullptr) mine.global_scale = args.global_scales[group];
        mine.gemm.a = moved(args.gemm.a, group * args.groups.a_stride, 2);
        mine.gemm = results_of_group(mine.gemm, args.groups, group);
        multiply_rows<T, type, format>(mine, rows.begin, rows.end, threads);
    }
}

template <WeightFormat format>
HostFunction function_of(DType type) {
    return type == DType::bf16 ? quantized_gemm<HostBf16, DType::bf16, format>
                               : quantized_gemm<HostHalf, DType::f16, format>;
}

}  // namespace

HostFunction QuantizedGemmOp::host_function(const Row& row) {
    switch (row.format) {
        case WeightFormat::int4: return function_of<WeightFormat::int4>(row.dtype);
        case WeightFormat::int8: return function_of<WeightFormat::int8>(row.dtype);
        case WeightFormat::fp8_e4m3: return function_of<WeightFormat::fp8_e4m3>(row.dtype);
        case WeightFormat::mxfp4: return function_of<WeightFormat::mxfp4>(row.dtype);
        case WeightFormat::nvfp4: return function_of<WeightFormat::nvfp4>(row.dtype);
    }
    return nullptr;
}

}  // namespace warpwright
