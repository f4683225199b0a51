// SPDX-License-Identifier: Apache-2.0
// A mask of bytes as bits, from the definition.
#pragma once

#include <vector>

#include "kernels/attention/mask_bits/problem.h"

namespace warpwright {

// mask: [rows, columns]. Each word's halves, as numbers that fp32 has.
inline std::vector<double> mask_bits_oracle(const std::vector<u8>& mask, i64 rows, i64 columns) {
    std::vector<double> halves;
    for (i64 row = 0; row < rows; ++row) {
        for (i64 half = 0; half < 2 * words_of(columns); ++half) {
            double value = 0;
            for (i64 i = 0; i < 16; ++i) {
                const i64 column = 16 * half + i;
                if (column < columns && mask[static_cast<std::size_t>(row * columns + column)] != 0)
                    value += static_cast<double>(1 << i);
            }
            halves.push_back(value);
        }
    }
    return halves;
}

}  // namespace warpwright
