// SPDX-License-Identifier: Apache-2.0
// The arithmetic of sampling, once for host and kernel: sums of integers do not depend on their order, so
// every device draws the same token, bit for bit.
//
//   key     a logit as an ordered integer (tile/ordered_float.h). NaN counts as -inf, +inf as the largest
//           float, -0 as 0.
//   weight  exp((logit - largest) / temperature) as a multiple of 2^-44 of the largest one: an integer
//
// The filters are thresholds on key and weight. W(v) is the sum of weights of all tokens with key >= v:
//   top-k   key >= the k-th largest key: ties with it are all kept
//   top-p   key >= the largest v with W(v) >= p W(top-k's threshold): the smallest set of likeliest tokens
//   whose
//           share of what top-k kept reaches p; ties with its last token are all kept
//   min-p   weight >= min_p x the largest weight
// The draw takes r = floor(bits / 2^64 x kept weight) and the first token, by id, at which the running sum of
// kept weights exceeds r.
#pragma once

#include "tile/ordered_float.h"

namespace warpwright {

// Floor of a x b / 2^64.
constexpr u64 multiply_high(u64 a, u64 b) {
    const u64 a0 = static_cast<u32>(a), a1 = a >> 32, b0 = static_cast<u32>(b), b1 = b >> 32;
    const u64 middle = a1 * b0 + (a0 * b0 >> 32);
    const u64 other = a0 * b1 + static_cast<u32>(middle);
    return a1 * b1 + (middle >> 32) + (other >> 32);
}

// A share in [0, 1) as a multiple of 2^-64.
constexpr u64 fixed_share(float share) {
    return share > 0 ? static_cast<u64>(share * 18446744073709551616.0f) : 0;
}

// `distance` is (largest - logit) / temperature in units of 2^-26 octaves. 2^fraction by a polynomial of
// degree 5 in 30-bit fixed point, within 7.6e-8; the whole octaves are a shift.
constexpr u64 weight_at(float distance) {
    if (!(distance < 4294967296.0f)) return 0;  // 64 octaves, or NaN
    // Counting down from 2^32 - 1 instead of 2^32 multiplies every weight by the same 2^(-2^-26).
    const u32 octaves = ~static_cast<u32>(distance);
    const u32 fraction = octaves << 6;
    u32 value = 2016033;
    constexpr u32 kCoefficients[] = {9652231, 59943053, 257862983, 744267445, 1073741744};
    for (int i = 0; i < 5; ++i) {
        value = kCoefficients[i] + static_cast<u32>(u64{value} * fraction >> 32);
    }
    return u64{value} << 13 >> (63 - (octaves >> 26));
}

constexpr u64 kLargestWeight = weight_at(0);
constexpr i64 kMaxVocabulary = 1 << 19;  // x 2^44 is the largest sum: below 2^63

// What a row asks for, made comparable.
struct SampleFilters {
    bool greedy;
    float scale;  // octaves x 2^26 per unit of logit
    u32 top_k;    // 0: off
    bool has_top_p;
    u64 top_p;       // fixed_share
    u64 min_weight;  // at least 1: what rounds to nothing is never drawn
};

constexpr SampleFilters make_filters(float temperature, i32 top_k, float top_p, float min_p, i32 vocabulary) {
    SampleFilters filters{};
    filters.greedy = !(temperature > 0);
    if (filters.greedy) return filters;
    const float scale = 96817625.0f / temperature;  // 2^26 log2(e)
    filters.scale = scale > kLargestFloat ? kLargestFloat : scale;
    filters.top_k = top_k > 0 && top_k < vocabulary ? static_cast<u32>(top_k) : 0;
    filters.has_top_p = top_p < 1;
    filters.top_p = filters.has_top_p ? fixed_share(top_p) : 0;
    const u64 least = min_p >= 1 ? kLargestWeight : multiply_high(kLargestWeight, fixed_share(min_p));
    filters.min_weight = least > 0 ? least : 1;
    return filters;
}

constexpr u64 weight_of(float clean, float largest, float scale) {
    return weight_at((largest - clean) * scale);
}

}  // namespace warpwright
