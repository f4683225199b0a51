// SPDX-License-Identifier: Apache-2.0
// Merge of states from its definition, in fp64.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "warpwright/types.h"

namespace warpwright {

struct MergeStateAnswer {
    std::vector<double> out;  // [rows, head_dim]
    std::vector<double> lse;  // [rows]
};

// states: [states, rows, head_dim]; lse: [states, rows], the logarithm to this base.
inline MergeStateAnswer merge_state_oracle(const std::vector<float>& states, const std::vector<float>& lse,
                                           i64 num_states, i64 head_dim, double base) {
    const i64 rows = static_cast<i64>(lse.size()) / num_states;
    MergeStateAnswer answer{std::vector<double>(static_cast<std::size_t>(rows * head_dim)),
                            std::vector<double>(static_cast<std::size_t>(rows))};
    for (i64 row = 0; row < rows; ++row) {
        double max = -std::numeric_limits<double>::infinity(), sum = 0;
        const auto for_each_state = [&](const auto& action) {
            for (i64 state = 0; state < num_states; ++state) {
                const double value = lse[state * rows + row];
                if (!std::isinf(value)) action(value, &states[(state * rows + row) * head_dim]);
            }
        };
        for_each_state([&](double value, const float*) { max = std::max(max, value); });
        answer.lse[row] = max;
        if (std::isinf(max)) continue;
        for_each_state([&](double value, const float*) { sum += std::pow(base, value - max); });
        for_each_state([&](double value, const float* out) {
            const double weight = std::pow(base, value - max) / sum;
            for (i64 i = 0; i < head_dim; ++i) answer.out[row * head_dim + i] += weight * double{out[i]};
        });
        answer.lse[row] = max + std::log(sum) / std::log(base);
    }
    return answer;
}

}  // namespace warpwright
