// SPDX-License-Identifier: Apache-2.0
// QuantizedMatrix: the weights of a linear layer in any quantised format, unpacked: what every reader makes
// and every packer takes. It is also the definition: dequantise() says what the weights are.
#pragma once

#include <vector>

#include "formats/codecs.h"
#include "warpwright/types.h"

namespace warpwright::formats {

// What a code stands for. u2 to u8 are unsigned, with a zero point beside them; i8 is two's complement.
enum class Code : u8 { u2, u3, u4, u8, i8, e4m3, e5m2, e2m1 };

struct CodeFacts {
    const char* name;
    int bits;
    bool is_float;
    int symmetric_zero;  // the zero point where none is stored
};

constexpr CodeFacts facts_of(Code code) {
    switch (code) {
        case Code::u2: return {"u2", 2, false, 2};
        case Code::u3: return {"u3", 3, false, 4};
        case Code::u4: return {"u4", 4, false, 8};
        case Code::u8: return {"u8", 8, false, 128};
        case Code::i8: return {"i8", 8, false, 0};
        case Code::e4m3: return {"e4m3", 8, true, 0};
        case Code::e5m2: return {"e5m2", 8, true, 0};
        case Code::e2m1: return {"e2m1", 4, true, 0};
    }
    return {"?", 0, false, 0};
}

constexpr float decode(Code type, u8 code) {
    switch (type) {
        case Code::i8: return static_cast<float>(static_cast<i8>(code));
        case Code::e4m3: return decode(kE4M3, code);
        case Code::e5m2: return decode(kE5M2, code);
        case Code::e2m1: return decode(kE2M1, code);
        default: return static_cast<float>(code);
    }
}

// How the scale of a group is stored where it is stored as less than a number of its own.
enum class ScaleCode : u8 { none, e4m3, e8m0 };

// w[n, k] = (decode(code[n, k]) - zero(n, g)) x scale(n, g), in fp32, where g is the group of columns that k
// is in.
struct QuantizedMatrix {
    i64 rows = 0;     // N: outputs
    i64 columns = 0;  // K: inputs
    Code code = Code::u4;
    std::vector<u8> codes;  // [rows, columns], a byte each

    i64 group_rows = 1;         // a scale's extent: 1 x 128, 128 x 128, rows x columns, ...
    i64 group_columns = 0;      // the last groups may be smaller
    std::vector<float> scales;  // [row_groups, column_groups], global scales included; positive and finite
    std::vector<i16> zeros;     // the same shape; empty: the type's symmetric_zero everywhere
    std::vector<i32> column_group;  // [columns], of GPTQ's act-order; empty: k / group_columns

    // For hardware that multiplies by coded scales: scales[i] = decode(scale_codes[i]) x or / the global
    // scale.
    ScaleCode scale_code = ScaleCode::none;
    std::vector<u8> scale_codes;  // the shape of scales
    float global_scale = 1;       // a multiplier, whatever the checkpoint has

    i64 row_groups() const { return (rows + group_rows - 1) / group_rows; }
    i64 column_groups() const { return (columns + group_columns - 1) / group_columns; }
    i64 group_of(i64 column) const {
        return column_group.empty() ? column / group_columns : column_group[static_cast<std::size_t>(column)];
    }
};

// The weights as numbers, [rows, columns]: (code - zero) is exact, its product with the scale rounded once.
void dequantise(const QuantizedMatrix& matrix, float* out);

}  // namespace warpwright::formats
