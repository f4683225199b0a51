// SPDX-License-Identifier: Apache-2.0
// Gated activation, portable. Limited by memory: gate, up and out each move once, 16 bytes a thread.
//
//   block = one chunk of one token        load gate, up | activate, multiply in fp32, round | store
//
// A thread reads exactly what it overwrites, before it does: out may be gate or up.
#include "kernels/fused/gated_activation/rows.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"
#include "tile/activation.cuh"

namespace warpwright {

constexpr GatedActivationRow kRow = row_at(kGatedActivationRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;

__device__ inline u32 combine(Activation activation, u32 gate, u32 up) {
    return ptx::pack<T>(activate(activation, ptx::low_float<T>(gate)) * ptx::low_float<T>(up),
                        activate(activation, ptx::high_float<T>(gate)) * ptx::high_float<T>(up));
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::GatedActivationArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    const i64 token = blockIdx.x;
    const i64 column = (static_cast<i64>(blockIdx.y) * kRow.threads + threadIdx.x) * (kRow.vectors ? 8 : 1);
    if (column < args.width) {
        const T* gate = static_cast<const T*>(args.gate) + token * args.gate_stride + column;
        const T* up = static_cast<const T*>(args.up) + token * args.up_stride + column;
        T* out = static_cast<T*>(args.out) + token * args.out_stride + column;
        if constexpr (kRow.vectors) {
            const U32x4 g = ptx::load(gate), u = ptx::load(up);
            ptx::store(out, {combine(args.activation, g.x, u.x), combine(args.activation, g.y, u.y),
                             combine(args.activation, g.z, u.z), combine(args.activation, g.w, u.w)});
        } else {
            *out = ptx::from_float<T>(activate(args.activation, ptx::to_float(*gate)) * ptx::to_float(*up));
        }
    }
    ptx::release_successor();
}
