// SPDX-License-Identifier: Apache-2.0
// RoPE from its definition, in fp64. The angle alone is an fp32 product, as the field computes it: at
// position 1e6 its rounding is worth 0.03 radians, and belongs to the definition.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "warpwright/types.h"

namespace warpwright {

// x: [positions.size(), heads, head_dim] before the call.
inline std::vector<double> rope_oracle(const std::vector<float>& x, const std::vector<i32>& positions,
                                       const std::vector<float>& frequency, i64 heads, i64 head_dim,
                                       float magnitude, bool interleaved) {
    std::vector<double> out(x.begin(), x.end());
    const std::size_t pairs = frequency.size();
    for (std::size_t start = 0; start < x.size(); start += static_cast<std::size_t>(head_dim)) {
        const i32 position = positions[start / static_cast<std::size_t>(heads * head_dim)];
        for (std::size_t i = 0; i < pairs; ++i) {
            const float angle = static_cast<float>(position) * frequency[i];
            const double cosine = std::cos(double{angle}) * magnitude;
            const double sine = std::sin(double{angle}) * magnitude;
            const std::size_t first = start + (interleaved ? 2 * i : i);
            const std::size_t second = first + (interleaved ? 1 : pairs);
            out[first] = x[first] * cosine - x[second] * sine;
            out[second] = x[second] * cosine + x[first] * sine;
        }
    }
    return out;
}

// Keys, or values, in their pages: pages, [slots, width], after rows, [tokens, width], went to the slots
// given for them; -1: nowhere.
inline std::vector<double> appended_oracle(const std::vector<double>& rows, const std::vector<float>& pages,
                                           const std::vector<i64>& slots) {
    std::vector<double> answer(pages.begin(), pages.end());
    const i64 width = static_cast<i64>(rows.size() / slots.size());
    for (std::size_t token = 0; token < slots.size(); ++token) {
        if (slots[token] < 0) continue;
        std::copy_n(rows.begin() + static_cast<i64>(token) * width, width,
                    answer.begin() + slots[token] * width);
    }
    return answer;
}

}  // namespace warpwright
