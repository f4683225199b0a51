// SPDX-License-Identifier: Apache-2.0
// Quantisation in groups of 16 to 256 columns, or with one scale for all. Limited by memory: x is read once,
// 16 bytes a thread at a time.
//
//   thread = some vectors, a block's threads beside each other   load all
//   lanes  = the vectors of a group                              amax
//   lane   = a group of some                                     scale
//   thread                                                       times 1 / scale, round | store
//
// A warp has several groups: each lane computes the scale of another one, and lanes exchange them. Vectors
// are counted through all rows, so that no row's end leaves threads without work. With swizzled scales the
// rows up to the next multiple of 128 count too: their scales are written, as zeros.
#include "kernels/fused/quantize/group_magnitudes.cuh"
#include "kernels/fused/quantize/rows.h"
#include "ptx/launch.cuh"

namespace warpwright {

constexpr QuantizeRow kRow = row_at(kQuantizeRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;
constexpr int kVectors = kRow.vectors;
// From 9.0 on 48 registers are enough; before, the compiler takes some more and would spill.
constexpr int kMinBlocks =
    (static_cast<BuildTarget>(WW_TARGET) < BuildTarget::sm_90a ? 1024 : 1280) / kRow.threads;

struct Place {
    u32 row, column;
    bool is_element;  // not past the last row
};

__device__ inline Place place_of(const QuantizeArgs& args, u32 vector) {
    const u32 row_vectors = static_cast<u32>(args.columns) / kVectorElements;
    const u32 row =
        args.rows == 1 && !args.swizzled ? vector >= row_vectors : row_of_vector(vector, args.column_divisor);
    return {row, (vector - row * row_vectors) * kVectorElements, row < static_cast<u32>(args.rows)};
}

__device__ inline void store_group_scale(const QuantizeArgs& args, Place place, u32 stored) {
    const u32 rows = args.swizzled ? static_cast<u32>(round_up(args.rows, kSwizzleRows)) : args.rows;
    if (place.row >= rows) return;
    const u32 group = place.column >> args.group_shift;
    store_scale(args, place.row, group, place.is_element ? stored : 0);
    if (args.swizzled && group + 1 == static_cast<u32>(args.scale_columns)) store_padding(args, place.row);
}

// Of `share` neighbouring lanes, which have the same groups, each takes another one's scale. Returns whether
// all of a warp's groups are regular.
template <int share>
__device__ inline bool find_scales(const QuantizeArgs& args, const u32 (&magnitudes)[kVectors],
                                   const Place (&places)[kVectors], float global_reciprocal,
                                   float (&multipliers)[kVectors]) {
    constexpr int kOwn = kVectors / share;
    const u32 own = threadIdx.x % share;
    const u32 lane = threadIdx.x & ((args.group_columns / kVectorElements) - 1);  // of its group
    GroupScale scales[kOwn];
    bool regular = true;
#pragma unroll
    for (int n = 0; n < kOwn; ++n) {
        u32 magnitude = magnitudes[n * share];
#pragma unroll
        for (int i = 1; i < share; ++i) magnitude = own == i ? magnitudes[n * share + i] : magnitude;
        scales[n] = scale_of<kRow.fp8_convert>(args, magnitude, global_reciprocal);
        regular = regular && is_regular(args, magnitude, scales[n].multiplier);
    }
#pragma unroll
    for (int n = 0; n < kOwn; ++n) {
        Place place = places[n * share];
#pragma unroll
        for (int i = 1; i < share; ++i) place = own == i ? places[n * share + i] : place;
        if (lane < share) store_group_scale(args, place, scales[n].stored);
#pragma unroll
        for (int i = 0; i < share; ++i) {
            const u32 from = (threadIdx.x & (kWarpThreads - share)) + i;
            multipliers[n * share + i] = __shfl_sync(~0u, scales[n].multiplier, static_cast<int>(from));
        }
    }
    return __all_sync(~0u, regular);
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads, warpwright::kMinBlocks)
    WW_ENTRY(const __grid_constant__ warpwright::QuantizeArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    U32x4 kept[kVectors];
    Place places[kVectors];
    const u32 first = blockIdx.x * (kRow.threads * kVectors) + threadIdx.x;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
        places[i] = place_of(args, first + i * kRow.threads);
        kept[i] = {};
        if (places[i].is_element) {
            const i64 at = places[i].row * args.x_stride + places[i].column;
            kept[i] = ptx::load(static_cast<const T*>(args.x) + at);
        }
    }
    float multipliers[kVectors];
    bool regular = true;
    if (has_tensor_scale(args)) {
        const float multiplier = tensor_multiplier(args);
        u32 pair = 0;
#pragma unroll
        for (int i = 0; i < kVectors; ++i) {
            multipliers[i] = multiplier;
            pair = ptx::max_pair<T>(pair, larger_pair<T>(kept[i]));
        }
        const float magnitude = ptx::to_float(T{static_cast<u16>(larger_of(pair))});
        regular = is_regular(args, __float_as_uint(magnitude), multiplier);
    } else {
        u32 magnitudes[kVectors];
        find_group_magnitudes<T>(args, kept, magnitudes);
        const float global_reciprocal = reciprocal_of_global(args);
        if (args.group_columns >= 4 * kVectorElements) {
            regular = find_scales<4>(args, magnitudes, places, global_reciprocal, multipliers);
        } else {
            regular = find_scales<2>(args, magnitudes, places, global_reciprocal, multipliers);
        }
    }
    with_code<T>(args, [&](auto tag) {
        constexpr CodeType kCode = decltype(tag)::kCode;
#pragma unroll
        for (int i = 0; i < kVectors; ++i) {
            if (!places[i].is_element) continue;
            const i64 at = places[i].row * args.codes_stride + code_bytes(kCode, places[i].column);
            store_codes<T, kCode, kRow.fp8_convert, decltype(tag)::kMultipliers>(
                static_cast<u8*>(args.codes) + at, kept[i], multipliers[i], regular);
        }
    });
    ptx::release_successor();
}
