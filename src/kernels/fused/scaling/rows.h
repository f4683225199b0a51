// SPDX-License-Identifier: Apache-2.0
// Delayed scaling: the rows; all serve every problem.
#pragma once

#include "kernels/fused/scaling/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct ScalingRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    int threads = 0;  // of a block: 32 tensors, and as many rows at a time as there are warps, times `rows`
    int rows = 0;     // of the history that a thread has under way
    i64 shared_bytes = 0;  // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("threads", self.threads);
        v("rows", self.rows);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr ScalingRow kScalingRows[] = {
    // name                      class                threads rows
    {"scaling.portable.t256r4",  ArchClass::portable, 256, 4},
    {"scaling.host",             ArchClass::host},
};
// rows:end
// clang-format on

constexpr i64 kScalingTensors = 32;  // of a block

constexpr Rejection why_not(const ScalingRow& row, const TargetFacts& target, const ScalingProblem&) {
    return target_misfit(row, target);
}

}  // namespace warpwright
