// SPDX-License-Identifier: Apache-2.0
// The arithmetic of routing, once for host and kernel, to the bit: products are either fused with a sum, or
// are kept from being so; reciprocals and roots are IEEE's.
#pragma once

#include "ptx/exact.h"
#include "tile/ordered_float.h"
#include "warpwright/expert_score.h"

namespace warpwright::route {

// e^x for x <= 0, within 1.5 units in the last place; 0 from -87 down, where fp32's normal numbers end, and
// of NaN. Taylor's polynomial about the nearest multiple of ln 2 (in two parts, Cody and Waite 1980).
inline float exp_nonpositive(float x) {
    if (!(x > -87.0f)) return 0;
    const float octaves = exact::nearest_integer(exact::multiply(x, 1.44269504f));
    const float r = exact::fma(octaves, -1.42860677e-6f, exact::fma(octaves, -0.693145752f, x));
    float e = 1.0f / 5040;
    e = exact::fma(e, r, 1.0f / 720);
    e = exact::fma(e, r, 1.0f / 120);
    e = exact::fma(e, r, 1.0f / 24);
    e = exact::fma(e, r, 1.0f / 6);
    e = exact::fma(e, r, 0.5f);
    e = exact::fma(e, r, 1.0f);
    e = exact::fma(e, r, 1.0f);
    return exact::multiply(
        e, __builtin_bit_cast(float, static_cast<u32>(static_cast<i32>(octaves) + 127) << 23));
}

inline float sigmoid(float x) {
    const float e = exp_nonpositive(x > 0 ? -x : x);
    const float share = exact::reciprocal(1.0f + e);
    return x > 0 ? share : exact::multiply(e, share);
}

// sqrt(ln(1 + e^x)): with t = e^-|x|, ln(1 + t) = 2 artanh(t / (2 + t)), whose argument is at most 1 / 3.
inline float sqrt_softplus(float x) {
    const float t = exp_nonpositive(x > 0 ? -x : x);
    const float s = exact::multiply(t, exact::reciprocal(2.0f + t)), s2 = exact::multiply(s, s);
    float p = 1.0f / 15;
    p = exact::fma(p, s2, 1.0f / 13);
    p = exact::fma(p, s2, 1.0f / 11);
    p = exact::fma(p, s2, 1.0f / 9);
    p = exact::fma(p, s2, 1.0f / 7);
    p = exact::fma(p, s2, 1.0f / 5);
    p = exact::fma(p, s2, 1.0f / 3);
    p = exact::fma(p, s2, 1.0f);
    return exact::square_root(exact::fma(s + s, p, x > 0 ? x : 0.0f));
}

// Of a clean logit; softmax's is its exponential, still to be divided by the sum.
inline float score_of(ExpertScore score, float clean, float largest) {
    switch (score) {
        case ExpertScore::softmax: return exp_nonpositive(clean - largest);
        case ExpertScore::sigmoid: return sigmoid(clean);
        case ExpertScore::sqrt_softplus: return sqrt_softplus(clean);
    }
    return 0;
}

constexpr int kSumParts = 32;  // softmax's sum: expert i belongs to part i % 32; then parts by halves

}  // namespace warpwright::route
