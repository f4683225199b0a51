// SPDX-License-Identifier: Apache-2.0
// Quantisation to e2m1 in the groups of NVFP4 and MXFP4. Limited by memory, if few instructions go into an
// element: two lanes at most share a group, the code and the scale are the row's, and what is rare is left
// to code of its own.
//
//   thread         = sixteen elements beside each other, several times    load all
//   thread, or two = a group                                              amax | scale
//   thread                                                                times 1 / scale, round | store
//
// Rare is what is not finite, a global scale beyond reason, or a group with elements above e2m1's range: such
// groups are read again, and done one element at a time. With swizzled scales the rows up to the next
// multiple of 128 count too: their scales are written, as zeros.
#include "kernels/fused/quantize/codes.cuh"
#include "kernels/fused/quantize/rows.h"
#include "ptx/extreme_magnitude.cuh"
#include "ptx/launch.cuh"

namespace warpwright {

constexpr QuantizeRow kRow = row_at(kQuantizeRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;
constexpr CodeType kCode = CodeType::e2m1;
constexpr bool kIsNvfp4 = kRow.scale == ScaleType::e4m3;
constexpr int kSpanVectors = 2, kSpanElements = kSpanVectors * kVectorElements;
constexpr int kSpans = kRow.vectors / kSpanVectors;
constexpr int kGroupLanes = kRow.group_columns / kSpanElements;

struct Place {
    u32 row, column;
    bool is_element;  // not past the last row
};

// There is one row, its scales beside each other: quantize's op makes that of rows without gaps.
__device__ inline bool is_flat(const QuantizeArgs& args) {
    return args.rows == 1 && !args.swizzled && args.scale_column_stride == 1;
}
template <bool flat>
__device__ inline Place place_of(const QuantizeArgs& args, u32 span) {
    if constexpr (flat) {
        return {0, span * kSpanElements, span * kSpanElements < static_cast<u32>(args.columns)};
    } else {
        const u32 vector = span * kSpanVectors;
        const u32 row = row_of_vector(vector, args.column_divisor);
        const u32 row_vectors = static_cast<u32>(args.columns) / kVectorElements;
        return {row, (vector - row * row_vectors) * kVectorElements, row < static_cast<u32>(args.rows)};
    }
}

struct Span {
    U32x4 first, second;
};

__device__ inline const T* address_of(const QuantizeArgs& args, Place place) {
    return static_cast<const T*>(args.x) + place.row * args.x_stride + place.column;
}

// fp32's bits.
__device__ inline u32 magnitude_of(const Span& span) {
    const auto larger = [](u32 a, u32 b) { return ptx::max_magnitude_pair<T, kRow.fp8_convert>(a, b); };
    const u32 first = larger(larger(span.first.x, span.first.y), larger(span.first.z, span.first.w));
    const u32 second = larger(larger(span.second.x, span.second.y), larger(span.second.z, span.second.w));
    u32 pair = larger(first, second) & kMagnitudes;
    if constexpr (kGroupLanes == 2) pair = ptx::max_pair<T>(pair, __shfl_xor_sync(~0u, pair, 1));
    return max(__float_as_uint(ptx::low_float<T>(pair)), __float_as_uint(ptx::high_float<T>(pair)));
}

__device__ inline void store_span_scale(const QuantizeArgs& args, Place place, u32 stored) {
    const u32 rows = args.swizzled ? static_cast<u32>(round_up(args.rows, kSwizzleRows)) : args.rows;
    if (place.row >= rows || place.column % kRow.group_columns != 0) return;
    const u32 group = place.column / kRow.group_columns;
    store_scale(args, place.row, group, place.is_element ? stored : 0);
    if (args.swizzled && group + 1 == static_cast<u32>(args.scale_columns)) store_padding(args, place.row);
}

// Eight bytes; what is promised of their alignment is four.
__device__ inline void store_codes_of_span(const QuantizeArgs& args, Place place, u64 codes) {
    u8* to = static_cast<u8*>(args.codes) + place.row * args.codes_stride + place.column / 2;
    if (((reinterpret_cast<u64>(args.codes) | static_cast<u64>(args.codes_stride)) & 7) == 0) {
        *reinterpret_cast<u64*>(to) = codes;
    } else {
        reinterpret_cast<u32*>(to)[0] = static_cast<u32>(codes);
        reinterpret_cast<u32*>(to)[1] = static_cast<u32>(codes >> 32);
    }
}

template <bool flat>
__device__ inline void store(const QuantizeArgs& args, Place place, u32 stored, u64 codes) {
    if constexpr (flat) {
        if (place.is_element && place.column % kRow.group_columns == 0)
            static_cast<u8*>(args.scales)[place.column / kRow.group_columns] = static_cast<u8>(stored);
    } else {
        store_span_scale(args, place, stored);
    }
    if (place.is_element) store_codes_of_span(args, place, codes);
}

__device__ inline u32 codes_of_vector(U32x4 v, float multiplier) {
    constexpr Multipliers kMultipliers = kIsNvfp4     ? Multipliers::e4m3
                                         : is_bf16<T> ? Multipliers::powers_of_two
                                                      : Multipliers::any;
    return regular_codes_e2m1<T, kMultipliers>(v, multiplier);
}

// As the definition says it, for any numbers.
__device__ inline u64 quantize_slowly(const T* x, float multiplier) {
    u64 codes = 0;
#pragma unroll 1
    for (int i = 0; i < kSpanElements; ++i)
        codes |= static_cast<u64>(encode<kCode>(__fmul_rn(ptx::to_float(x[i]), multiplier))) << 4 * i;
    return codes;
}

// Of groups that are not rare.
__device__ inline GroupScale usual_scale(const QuantizeArgs& args, u32 magnitude, float usual) {
    if constexpr (kIsNvfp4) {
        return usual_e4m3_scale<kRow.fp8_convert>(args, magnitude, usual);
    } else {
        return scale_of(args, magnitude, 1);
    }
}

template <bool flat>
__device__ inline void quantize_spans(const QuantizeArgs& args) {
    const u32 first = blockIdx.x * (kRow.threads * kSpans) + threadIdx.x;
    float global = 1;
    if (kIsNvfp4 && args.global_scale != nullptr) global = *args.global_scale;
    Place places[kSpans];
    Span spans[kSpans];
#pragma unroll
    for (int i = 0; i < kSpans; ++i) {
        places[i] = place_of<flat>(args, first + i * kRow.threads);
        spans[i] = {};
        if (!places[i].is_element) continue;
        const T* x = address_of(args, places[i]);
        spans[i] = {ptx::load(x), ptx::load(x + kVectorElements)};
    }
    const float reciprocal = kIsNvfp4 ? positive_reciprocal(&global) : 1.0f;
    const float usual = usual_reciprocal(reciprocal);
#pragma unroll
    for (int i = 0; i < kSpans; ++i) {
        const u32 magnitude = magnitude_of(spans[i]);
        GroupScale scale = usual_scale(args, magnitude, usual);
        u64 codes;
        if (is_regular(args, magnitude, scale.multiplier)) {
            codes = codes_of_vector(spans[i].first, scale.multiplier) |
                    static_cast<u64>(codes_of_vector(spans[i].second, scale.multiplier)) << 32;
        } else {
            scale = scale_of<kRow.fp8_convert>(args, magnitude, reciprocal);
            codes = places[i].is_element ? quantize_slowly(address_of(args, places[i]), scale.multiplier) : 0;
        }
        store<flat>(args, places[i], scale.stored, codes);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::QuantizeArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    QuantizeArgs known = args;
    known.code = kCode;
    known.scale = args.scale == ScaleType::e8m0_up ? ScaleType::e8m0_up : kRow.scale;
    if (is_flat(args)) {
        quantize_spans<true>(known);
    } else {
        quantize_spans<false>(known);
    }
    ptx::release_successor();
}
