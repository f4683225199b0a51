// SPDX-License-Identifier: Apache-2.0
// Counting of chunks: the rows and which problems they serve.
#pragma once

#include "kernels/moe/count/problem.h"
#include "kernels/moe/permute/rows.h"

namespace warpwright {

struct MoeCountRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    int threads = 0;       // a slot each
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
inline constexpr MoeCountRow kMoeCountRows[] = {
    // name                 class                threads
    {"moe_count.portable",  ArchClass::portable, kChunkSlots},
    {"moe_count.host",      ArchClass::host,     0},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const MoeCountRow& row, const TargetFacts& target,
                            const MoeCountProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (problem.experts > kMaxExperts) return {"experts", kMaxExperts, problem.experts, "at_most"};
    return accepted();
}

}  // namespace warpwright
