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

inline float fma_saturated(float a, float b, float c) {
    return std::fmin(std::fmax(std::fma(a, b, c), 0.0f), 1.0f);
}

}  // namespace warpwright::ptx
