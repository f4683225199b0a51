// SPDX-License-Identifier: Apache-2.0
// Columns in a given order, from the definition.
#pragma once

#include <vector>

#include "warpwright/types.h"

namespace warpwright {

// x: [groups.size(), columns]; groups: of each row, -1 for none, of which there is no answer.
inline std::vector<double> gather_columns_oracle(const std::vector<float>& x, const std::vector<i32>& order,
                                                 const std::vector<i32>& groups, i64 columns) {
    std::vector<double> out;
    for (std::size_t row = 0; row < groups.size(); ++row) {
        const float* from = x.data() + static_cast<i64>(row) * columns;
        for (i64 j = 0; j < columns && groups[row] >= 0; ++j)
            out.push_back(from[order[groups[row] * columns + j]]);
    }
    return out;
}

}  // namespace warpwright
