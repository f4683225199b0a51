// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tile/activation.cuh"
#include "tile/gate_args.h"

namespace warpwright {

// Not min and max, which lose NaN.
__device__ inline float gated(const GateArgs& args, Activation activation, float gate, float up) {
    gate = gate > args.limit ? args.limit : gate;
    up = up > args.limit ? args.limit : up < -args.limit ? -args.limit : up;
    return activate(activation, gate * args.alpha) / args.alpha * (up + args.up_offset);
}

}  // namespace warpwright
