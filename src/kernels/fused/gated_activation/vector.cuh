// SPDX-License-Identifier: Apache-2.0
// What the kernels of gated activation share: one element, and eight of them.
#pragma once

#include "kernels/fused/gated_activation/rows.h"
#include "ptx/convert.cuh"
#include "ptx/memory.cuh"
#include "tile/gate.cuh"
#include "tile/known_activation.cuh"
#include "tile/magnitude.cuh"

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

__device__ inline T limited_element(const GatedActivationArgs& args, const Row& row, i64 column) {
    return ptx::from_float<T>(
        gated(args.gate_by, args.activation, ptx::to_float(row.gate[column]), ptx::to_float(row.up[column])));
}

// Eight, a pair at a time, as few models have limits.
__device__ inline U32x4 limited(const GatedActivationArgs& args, U32x4 g, U32x4 u) {
    U32x4 result{};
#pragma unroll 1
    for (int i = 0; i < 4; ++i) {
        const auto one = [&](float gate, float up) { return gated(args.gate_by, args.activation, gate, up); };
        const u32 pair = ptx::pack<T>(one(ptx::low_float<T>(g.x), ptx::low_float<T>(u.x)),
                                      one(ptx::high_float<T>(g.x), ptx::high_float<T>(u.x)));
        g = {g.y, g.z, g.w, g.x}, u = {u.y, u.z, u.w, u.x};
        result = {result.y, result.z, result.w, pair};
    }
    return result;
}

__device__ inline T activated_element(Activation activation, const Row& row, i64 column) {
    return ptx::from_float<T>(activate(activation, ptx::to_float(row.gate[column])) *
                              ptx::to_float(row.up[column]));
}

template <class F>
__device__ inline u32 activated_pair(u32 gate, u32 up, const F& activate) {
    return ptx::pack<T>(activate(ptx::low_float<T>(gate)) * ptx::low_float<T>(up),
                        activate(ptx::high_float<T>(gate)) * ptx::high_float<T>(up));
}

// Eight of them, which are at `column`. silu of what is not moderate, which is rare, is read again: a loop
// that kept it would take registers from what is not rare.
template <Activation kind>
__device__ inline U32x4 activated(const Row& row, i64 column, U32x4 g, U32x4 u) {
    if constexpr (kind != Activation::silu) {
        const auto known = [](float value) { return activate(kind, value); };
        return {activated_pair(g.x, u.x, known), activated_pair(g.y, u.y, known),
                activated_pair(g.z, u.z, known), activated_pair(g.w, u.w, known)};
    }
    constexpr u32 kModerateBits = is_bf16<T> ? 0x42a0 : 0x5500;  // of kModerate
    if (larger_of(larger_pair<T>(g)) > kModerateBits) {
        const u32* gates = reinterpret_cast<const u32*>(row.gate + column);
        const u32* ups = reinterpret_cast<const u32*>(row.up + column);
        U32x4 result{};
#pragma unroll 1
        for (int i = 0; i < 4; ++i) {
            const u32 pair = activated_pair(gates[i], ups[i],
                                            [](float value) { return activate(Activation::silu, value); });
            result = {result.y, result.z, result.w, pair};
        }
        return result;
    }
    return {activated_pair(g.x, u.x, silu_of_moderate), activated_pair(g.y, u.y, silu_of_moderate),
            activated_pair(g.z, u.z, silu_of_moderate), activated_pair(g.w, u.w, silu_of_moderate)};
}

}  // namespace warpwright
