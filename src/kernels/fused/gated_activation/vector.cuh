// SPDX-License-Identifier: Apache-2.0
// What the kernels of gated activation share: one element, and eight of them.
#pragma once

#include "kernels/fused/gated_activation/rows.h"
#include "ptx/convert.cuh"
#include "ptx/memory.cuh"
#include "tile/activation.cuh"

namespace warpwright {

constexpr GatedActivationRow kRow = row_at(kGatedActivationRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;

// A token's row of each operand.
struct Row {
    const T* gate;
    const T* up;
    T* out;

    __device__ Row(const GatedActivationArgs& args, i64 token)
        : gate(static_cast<const T*>(args.gate) + token * args.gate_stride),
          up(static_cast<const T*>(args.up) + token * args.up_stride),
          out(static_cast<T*>(args.out) + token * args.out_stride) {}
};

__device__ inline T activated_element(Activation activation, const Row& row, i64 column) {
    return ptx::from_float<T>(activate(activation, ptx::to_float(row.gate[column])) *
                              ptx::to_float(row.up[column]));
}

__device__ inline u32 activated_pair(Activation activation, u32 gate, u32 up) {
    return ptx::pack<T>(activate(activation, ptx::low_float<T>(gate)) * ptx::low_float<T>(up),
                        activate(activation, ptx::high_float<T>(gate)) * ptx::high_float<T>(up));
}
__device__ inline U32x4 activated(Activation activation, U32x4 g, U32x4 u) {
    return {activated_pair(activation, g.x, u.x), activated_pair(activation, g.y, u.y),
            activated_pair(activation, g.z, u.z), activated_pair(activation, g.w, u.w)};
}

}  // namespace warpwright
