// SPDX-License-Identifier: Apache-2.0
// tanh in fp32 from an exponential, for softcaps: c tanh(x / c). Relative error below 5e-7 for every x, so
// that small scores keep their precision. No standard header: NVRTC reads this file too.
#pragma once

namespace warpwright {

// Below it, 1 - 2 / (e^2x + 1) would cancel.
constexpr float kTanhSmall = 0.55f;
constexpr float kTwoLog2E = 2.885390081777927f;

// |x| < kTanhSmall: the odd polynomial of degree 9 with the least relative error, 3.7e-8, found by
// iteratively reweighted least squares.
constexpr float tanh_small(float x) {
    const float s = x * x;
    const float p = -0.33332947f + s * (0.13320726f + s * (-0.05267184f + s * 0.01643764f));
    return x + x * s * p;
}

}  // namespace warpwright
