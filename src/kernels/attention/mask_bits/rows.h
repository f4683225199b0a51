// SPDX-License-Identifier: Apache-2.0
// A mask of bytes as bits: the rows. They serve every problem.
#pragma once

#include "kernels/attention/mask_bits/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct MaskBitsRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    int threads = 0;
    i64 shared_bytes = 0;  // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("threads", self.threads);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr MaskBitsRow kMaskBitsRows[] = {
    {"mask_bits.portable.t256", ArchClass::portable, 256},
    {"mask_bits.host",          ArchClass::host},
};
// rows:end
// clang-format on

constexpr int kWarpWords = 32;  // of a row, that a warp makes

constexpr i64 num_warps(i64 rows, i64 columns) {
    return rows * ceil_div(words_of(columns), kWarpWords);
}

constexpr Rejection why_not(const MaskBitsRow& row, const TargetFacts& target, const MaskBitsProblem&) {
    return target_misfit(row, target);
}

}  // namespace warpwright
