// SPDX-License-Identifier: Apache-2.0
#include "formats/quantized_matrix.h"

#include <algorithm>
#include <array>

namespace warpwright::formats {
namespace {

std::array<float, 256> table_of(Code code) {
    std::array<float, 256> values{};
    for (int i = 0; i < 256; ++i) values[static_cast<std::size_t>(i)] = decode(code, static_cast<u8>(i));
    return values;
}

// One row's columns [begin, end), which share a scale and a zero point.
void scale_run(const float* values, const u8* codes, i64 begin, i64 end, float zero, float scale,
               float* out) {
    for (i64 k = begin; k < end; ++k) out[k] = (values[codes[k]] - zero) * scale;
}

}  // namespace

void dequantise(const QuantizedMatrix& matrix, float* out) {
    const std::array<float, 256> values = table_of(matrix.code);
    const i64 groups = matrix.column_groups();
    const auto symmetric = static_cast<float>(facts_of(matrix.code).symmetric_zero);
    for (i64 row = 0; row < matrix.rows; ++row) {
        const u8* codes = matrix.codes.data() + row * matrix.columns;
        const i64 first = row / matrix.group_rows * groups;
        const float* scales = matrix.scales.data() + first;
        const auto zero_of = [&](i64 group) {
            return matrix.zeros.empty()
                       ? symmetric
                       : static_cast<float>(matrix.zeros[static_cast<std::size_t>(first + group)]);
        };
        float* to = out + row * matrix.columns;
        if (matrix.column_group.empty()) {
            for (i64 group = 0; group < groups; ++group) {
                const i64 begin = group * matrix.group_columns;
                const i64 end = std::min(begin + matrix.group_columns, matrix.columns);
                scale_run(values.data(), codes, begin, end, zero_of(group), scales[group], to);
            }
        } else {
            for (i64 k = 0; k < matrix.columns; ++k) {
                const i64 group = matrix.group_of(k);
                scale_run(values.data(), codes, k, k + 1, zero_of(group), scales[group], to);
            }
        }
    }
}

}  // namespace warpwright::formats
