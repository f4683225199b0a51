// SPDX-License-Identifier: Apache-2.0
// A mask of bytes as one of bits, which attention reads: bit j of word i of a row is whether byte 32 i + j is
// not 0.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct MaskBitsProblem {
    i64 rows = 1;
    i64 columns = 4096;  // bytes of a row

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("rows", self.rows);
        v("columns", self.columns);
    }
    constexpr MaskBitsProblem canonical() const { return {.rows = 2048, .columns = columns}; }
};

constexpr i64 words_of(i64 columns) {
    return (columns + 31) / 32;
}

struct MaskBitsArgs {
    const u8* mask;  // [rows, columns]
    u32* bits;       // [rows, words_of(columns)], dense; bits behind the columns are 0
    i64 row_stride;  // of mask
    i32 rows;
    i32 columns;
};

}  // namespace warpwright
