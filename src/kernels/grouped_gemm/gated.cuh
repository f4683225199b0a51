// SPDX-License-Identifier: Apache-2.0
// Finished sums of a gated product to its value.
#pragma once

#include "kernels/grouped_gemm/problem.h"
#include "ptx/convert.cuh"
#include "tile/gate.cuh"

namespace warpwright {

template <class T>
__device__ inline float gated_value(const GroupedGemmArgs& args, float gate, float up, const void* gate_bias,
                                    const void* bias, i64 column) {
    if (gate_bias != nullptr) gate += ptx::to_float(static_cast<const T*>(gate_bias)[column]);
    if (bias != nullptr) up += ptx::to_float(static_cast<const T*>(bias)[column]);
    return gated(args.gate, args.gemm.activation, gate, up);
}

}  // namespace warpwright
