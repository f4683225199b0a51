// SPDX-License-Identifier: Apache-2.0
// Attention merge from its definition, in fp64.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "warpwright/types.h"

namespace warpwright {

struct AttentionMergeAnswer {
    std::vector<double> out;  // [rows, head_dim]
    std::vector<double> lse;  // [rows]
};

// partial_out: [splits, rows, stride], of which head_dim columns count; partial_lse: [splits, rows], base 2.
// A row that no split saw a key for gives zeros and -infinity.
inline AttentionMergeAnswer attention_merge_oracle(const std::vector<float>& partial_out,
                                                   const std::vector<float>& partial_lse, i64 splits,
                                                   i64 head_dim, i64 stride) {
    const i64 rows = static_cast<i64>(partial_lse.size()) / splits;
    AttentionMergeAnswer answer{std::vector<double>(static_cast<std::size_t>(rows * head_dim)),
                                std::vector<double>(static_cast<std::size_t>(rows))};
    for (i64 row = 0; row < rows; ++row) {
        double max = -std::numeric_limits<double>::infinity(), sum = 0;
        for (i64 split = 0; split < splits; ++split) {
            max = std::max(max, double{partial_lse[split * rows + row]});
        }
        answer.lse[row] = max;
        if (std::isinf(max)) continue;
        for (i64 split = 0; split < splits; ++split) sum += std::exp2(partial_lse[split * rows + row] - max);
        for (i64 split = 0; split < splits; ++split) {
            const double weight = std::exp2(partial_lse[split * rows + row] - max) / sum;
            if (weight == 0) continue;
            for (i64 i = 0; i < head_dim; ++i) {
                answer.out[row * head_dim + i] += weight * partial_out[(split * rows + row) * stride + i];
            }
        }
        answer.lse[row] = max + std::log2(sum);
    }
    return answer;
}

}  // namespace warpwright
