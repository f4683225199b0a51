// SPDX-License-Identifier: Apache-2.0
// Weighted sums of routed rows from their definition: in fp64, and in fp32.
#pragma once

#include <vector>

#include "warpwright/types.h"

namespace warpwright {

struct MoeCombineInputs {
    std::vector<float> rows;  // [all rows, width]
    i64 width = 0;
    std::vector<i32> row_of_slot;  // [tokens, top_k]
    std::vector<float> weights;    // [tokens, top_k]
    i64 top_k = 0;
    std::vector<float> base;  // [tokens, width]; empty: none
};

template <class Real>
std::vector<Real> moe_combine_oracle(const MoeCombineInputs& in) {
    const auto width = static_cast<std::size_t>(in.width), top_k = static_cast<std::size_t>(in.top_k);
    std::vector<Real> out(in.row_of_slot.size() / top_k * width, Real{0});
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (!in.base.empty()) out[i] = in.base[i];
        for (std::size_t j = 0; j < top_k; ++j) {
            const std::size_t slot = i / width * top_k + j;
            const auto row = static_cast<std::size_t>(in.row_of_slot[slot]);
            if (in.row_of_slot[slot] < 0 || (row + 1) * width > in.rows.size()) continue;
            out[i] += Real{in.weights[slot]} * Real{in.rows[row * width + i % width]};
        }
    }
    return out;
}

}  // namespace warpwright
