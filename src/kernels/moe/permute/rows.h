// SPDX-License-Identifier: Apache-2.0
// Permutation: the rows and which problems they serve.
#pragma once

#include "kernels/legality.h"
#include "kernels/moe/permute/problem.h"
#include "kernels/moe/route/rows.h"

namespace warpwright {

struct MoePermuteRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    int threads = 0;
    int experts = 0;       // of a block
    int loads = 0;         // slots of a thread that are under way at once
    i64 shared_bytes = 0;  // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("threads", self.threads);
        v("experts", self.experts);
        v("loads", self.loads);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr MoePermuteRow kMoePermuteRows[] = {
    // name                        class                threads experts loads
    {"moe_permute.portable.t128",  ArchClass::portable,  128,    1,      4},
    {"moe_permute.portable.t1024", ArchClass::portable, 1024,    2,      4},
    {"moe_permute.portable.count", ArchClass::portable, 1024,    0,      0},
    {"moe_permute.host",           ArchClass::host,        0,    0,      0},
};
// rows:end
// clang-format on

constexpr bool is_counted(const MoePermuteRow& row) {
    return row.threads > 0 && row.experts == 0;
}

constexpr Rejection why_not(const MoePermuteRow& row, const TargetFacts& target,
                            const MoePermuteProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (problem.experts > kMaxExperts) return {"experts", kMaxExperts, problem.experts, "at_most"};
    if (is_counted(row) && !problem.space) return {"space", 1, 0};
    return accepted();
}

}  // namespace warpwright
