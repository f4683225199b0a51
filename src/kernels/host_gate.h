// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/host_math.h"
#include "tile/gate_args.h"

namespace warpwright {

// tile/gate.cuh's, in the type of gate and up.
template <class Float>
Float gated(const GateArgs& args, Activation activation, Float gate, Float up) {
    const Float limit = args.limit, alpha = args.alpha;
    gate = gate > limit ? limit : gate;
    up = up > limit ? limit : up < -limit ? -limit : up;
    return activate(activation, gate * alpha) / alpha * (up + Float(args.up_offset));
}

}  // namespace warpwright
