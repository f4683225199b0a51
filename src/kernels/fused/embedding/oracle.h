// SPDX-License-Identifier: Apache-2.0
// Embedding from its definition.
#pragma once

#include <vector>

#include "warpwright/types.h"

namespace warpwright {

// table: [rows, width]; the answer is [ids.size(), width]. NaN and infinity in the table stay what they are.
inline std::vector<double> embedding_oracle(const std::vector<i32>& ids, const std::vector<float>& table,
                                            i64 width, double scale) {
    const i64 num_rows = static_cast<i64>(table.size()) / width;
    std::vector<double> out;
    for (const i32 id : ids) {
        for (i64 i = 0; i < width; ++i) {
            out.push_back(id < 0 || id >= num_rows ? 0
                                                   : scale * table[static_cast<std::size_t>(id * width + i)]);
        }
    }
    return out;
}

}  // namespace warpwright
