// SPDX-License-Identifier: Apache-2.0
// src/ptx/math.cuh for tests/simt/machine.h.
#pragma once

#include "simt/machine.h"

namespace warpwright::ptx {

inline float exp2_approx(float x) {
    return std::exp2(x);
}

inline float reciprocal_approx(float x) {
    return 1 / x;
}

}  // namespace warpwright::ptx
