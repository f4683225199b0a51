// SPDX-License-Identifier: Apache-2.0
// Sine and cosine in fp32 for any angle that a position can produce, in about 30 instructions and without the
// table in local memory that the compiler's own large-angle path keeps.
#pragma once

namespace warpwright {

struct SinCos {
    float sine, cosine;
};

// Within 1.2e-7 for |angle| up to 2^24, from where neighbouring floats are two radians apart.
//
// Reduction to [-pi/4, pi/4] after Cody and Waite: pi/2 as the sum of three floats. The first product is
// exact in the fused multiply-add: both terms are multiples of 2^-23 and the difference is below 2. The
// quadrant of a large angle can be off by one, which the second round repairs. Polynomials: Cephes' sinf and
// cosf (Moshier).
__device__ inline SinCos sin_cos(float angle) {
    constexpr float kTwoOverPi = 0.636619772f;
    constexpr float kHalfPi0 = 1.57079637f, kHalfPi1 = -4.37113883e-8f, kHalfPi2 = -1.71512451e-15f;
    const float turns = rintf(angle * kTwoOverPi);
    float r = fmaf(-turns, kHalfPi0, angle);
    r = fmaf(-turns, kHalfPi1, r);
    r = fmaf(-turns, kHalfPi2, r);
    const float more = rintf(r * kTwoOverPi);
    r = fmaf(-more, kHalfPi0, r);
    r = fmaf(-more, kHalfPi1, r);
    const int quadrant = (static_cast<int>(turns) + static_cast<int>(more)) & 3;

    const float r2 = r * r;
    const float sine =
        fmaf(r * r2, fmaf(r2, fmaf(r2, -1.9515295891e-4f, 8.3321608736e-3f), -1.6666654611e-1f), r);
    const float cosine = fmaf(
        r2 * r2, fmaf(r2, fmaf(r2, 2.443315711809948e-5f, -1.388731625493765e-3f), 4.166664568298827e-2f),
        fmaf(r2, -0.5f, 1.0f));
    const bool swap = quadrant & 1;
    const float s = swap ? cosine : sine, c = swap ? sine : cosine;
    return {quadrant & 2 ? -s : s, (quadrant + 1) & 2 ? -c : c};
}

}  // namespace warpwright
