// SPDX-License-Identifier: Apache-2.0
// Quantisation without demands: any group, any alignment, element by element; a group is read twice.
//
//   warp = a group    amax | scale | times 1 / scale, round, store
#include "kernels/fused/quantize/codes.cuh"
#include "kernels/fused/quantize/rows.h"
#include "ptx/launch.cuh"

namespace warpwright {

constexpr QuantizeRow kRow = row_at(kQuantizeRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;

// A warp's group of elements: [first_row, last_row) x [first_column, last_column).
struct Group {
    i64 row, column;  // among groups
    i64 first_row, last_row;
    i64 first_column, last_column;

    __device__ Group(const QuantizeArgs& args, i64 index, i64 groups)
        : row(index / groups), column(index - row * groups) {
        first_row = row * args.group_rows;
        last_row = min(first_row + args.group_rows, static_cast<i64>(args.rows));
        first_column = column * args.group_columns;
        last_column = min(first_column + args.group_columns, static_cast<i64>(args.columns));
    }
};

__device__ inline u32 group_magnitude(const QuantizeArgs& args, const Group& group, int lane) {
    u32 magnitude = 0;
    for (i64 row = group.first_row; row < group.last_row; ++row) {
        const T* x = static_cast<const T*>(args.x) + row * args.x_stride;
        for (i64 column = group.first_column + lane; column < group.last_column; column += kWarpThreads)
            magnitude = max(magnitude, x[column].bits & 0x7fffu);
    }
    return __reduce_max_sync(~0u, magnitude);
}

template <CodeType code>
__device__ inline void store_group(const QuantizeArgs& args, const Group& group, int lane, float multiplier) {
    constexpr int kStep = 8 / facts_of(code).bits;  // elements of a byte
    for (i64 row = group.first_row; row < group.last_row; ++row) {
        const T* x = static_cast<const T*>(args.x) + row * args.x_stride;
        u8* codes = static_cast<u8*>(args.codes) + row * args.codes_stride;
        for (i64 column = group.first_column + lane * kStep; column < group.last_column;
             column += kWarpThreads * kStep) {
            u32 byte = encode<code>(__fmul_rn(ptx::to_float(x[column]), multiplier));
            if constexpr (kStep == 2)
                byte |= encode<code>(__fmul_rn(ptx::to_float(x[column + 1]), multiplier)) << 4;
            codes[column / kStep] = static_cast<u8>(byte);
        }
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::QuantizeArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    const int lane = threadIdx.x % kWarpThreads;
    const i64 index = (static_cast<i64>(blockIdx.x) * kRow.threads + threadIdx.x) / kWarpThreads;
    const i64 groups = args.scale_columns;
    const Group group(args, index, groups);
    const i64 padded_rows = round_up(args.rows, args.swizzled ? kSwizzleRows : 1);
    if (group.first_row < args.rows) {
        float multiplier;
        if (has_tensor_scale(args)) {
            multiplier = tensor_multiplier(args);
        } else {
            const u32 magnitude = group_magnitude(args, group, lane);
            const float amax = ptx::to_float(T{static_cast<u16>(magnitude)});
            const GroupScale scale = scale_of(args, __float_as_uint(amax), reciprocal_of_global(args));
            multiplier = scale.multiplier;
            if (lane == 0) store_scale(args, group.row, group.column, scale.stored);
        }
        with_code<void>(args,
                        [&](auto tag) { store_group<decltype(tag)::kCode>(args, group, lane, multiplier); });
    } else if (args.swizzled && group.row < padded_rows && lane == 0) {
        store_scale(args, group.row, group.column, 0);
    }
    if (args.swizzled && group.row < padded_rows && group.column == groups - 1 && lane == 0)
        store_padding(args, group.row);
    ptx::release_successor();
}
