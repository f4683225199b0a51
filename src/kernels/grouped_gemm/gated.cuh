// SPDX-License-Identifier: Apache-2.0
// Finished sums of a gated product to its value.
#pragma once

#include "kernels/grouped_gemm/problem.h"
#include "ptx/convert.cuh"
#include "tile/activation.cuh"

namespace warpwright {

template <class T>
__device__ inline float gated_value(const GroupedGemmArgs& args, float gate, float up, const void* gate_bias,
                                    const void* bias, i64 column) {
    if (gate_bias != nullptr) gate += ptx::to_float(static_cast<const T*>(gate_bias)[column]);
    if (bias != nullptr) up += ptx::to_float(static_cast<const T*>(bias)[column]);
    // Not min and max, which lose NaN.
    const float limit = args.gate.limit;
    gate = gate > limit ? limit : gate;
    up = up > limit ? limit : up < -limit ? -limit : up;
    return activate(args.gemm.activation, gate * args.gate.alpha) / args.gate.alpha *
           (up + args.gate.up_offset);
}

}  // namespace warpwright
