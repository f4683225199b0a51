// SPDX-License-Identifier: Apache-2.0
// Matrices of checks whose rows have gaps between them.
#pragma once

#include <cmath>
#include <vector>

#include "check/harness.h"

namespace warpwright {

inline std::vector<float> without_gaps(const std::vector<float>& all, i64 rows, i64 columns, i64 stride) {
    std::vector<float> values;
    values.reserve(static_cast<std::size_t>(rows * columns));
    for (i64 i = 0; i < rows; ++i) {
        const auto row = all.begin() + i * stride;
        values.insert(values.end(), row, row + columns);
    }
    return values;
}

// Gaps between rows of a result keep their fill, which reads as NaN.
inline void judge_gaps(CheckResult& result, Workbench& bench, const std::vector<float>& all, i64 rows,
                       i64 columns, i64 stride) {
    for (i64 row = 0; row < rows; ++row) {
        for (i64 i = row * stride + columns; i < (row + 1) * stride; ++i) {
            if (std::isnan(all[static_cast<std::size_t>(i)])) continue;
            return judge(result, bench, {false, 0, 0, "wrote between the rows"}, "d");
        }
    }
}

}  // namespace warpwright
