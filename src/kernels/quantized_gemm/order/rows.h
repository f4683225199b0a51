// SPDX-License-Identifier: Apache-2.0
// Columns in a given order: the rows. They serve every problem.
#pragma once

#include "kernels/legality.h"
#include "kernels/quantized_gemm/order/problem.h"

namespace warpwright {

struct GatherColumnsRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    int threads = 0;       // columns of a block
    int block_rows = 0;    // rows of a block, which read the order once
    i64 shared_bytes = 0;  // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("threads", self.threads);
        v("block_rows", self.block_rows);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr GatherColumnsRow kGatherColumnsRows[] = {
    {"gather_columns.portable.t128r8", ArchClass::portable, 128, 8},
    {"gather_columns.host",            ArchClass::host},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const GatherColumnsRow& row, const TargetFacts& target,
                            const GatherColumnsProblem&) {
    return target_misfit(row, target);
}

}  // namespace warpwright
