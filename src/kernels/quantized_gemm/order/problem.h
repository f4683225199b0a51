// SPDX-License-Identifier: Apache-2.0
// Columns in a given order: out[i, j] = x[i, order[j]], elements of 16 bits, moved as they are. What
// quantized_gemm multiplies where its weight has an order (act-order).
#pragma once

#include "warpwright/grouping.h"
#include "warpwright/types.h"

namespace warpwright {

struct GatherColumnsProblem {
    i64 rows = 1;  // of all groups
    i64 columns = 4096;
    Grouping grouping = Grouping::none;

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("rows", self.rows);
        v("columns", self.columns);
        v("grouping", self.grouping);
    }
    constexpr GatherColumnsProblem canonical() const {
        GatherColumnsProblem problem = *this;
        problem.rows = 128;
        return problem;
    }
};

// Rows that belong to no group, or are not there, are left as they are.
struct GatherColumnsArgs {
    const void* x;             // [rows, columns], or [groups, group_rows, columns]
    void* out;                 // the same, dense
    const i32* order;          // [groups, columns]: below columns
    const i32* group_of_row;   // [rows]; null: not contiguous
    const i32* rows_of_group;  // [groups]; null: not masked
    i64 x_stride;              // elements, from row to row
    i64 x_group_stride;        // elements
    i32 rows;
    i32 group_rows;  // where masked: places of a group; else as rows
    i32 columns;
};

// A row's group, -1 of one that is left, and where it is in x.
struct GatherPlace {
    i32 group;
    i64 first;  // element
};
constexpr GatherPlace gather_place(const GatherColumnsArgs& args, i32 row) {
    if (args.group_of_row != nullptr) return {args.group_of_row[row], row * args.x_stride};
    const i32 group = static_cast<i32>(static_cast<u32>(row) / static_cast<u32>(args.group_rows));
    const i32 place = row - group * args.group_rows;
    const bool exists = args.rows_of_group == nullptr || place < args.rows_of_group[group];
    return {exists ? group : -1, group * args.x_group_stride + place * args.x_stride};
}

}  // namespace warpwright
