// SPDX-License-Identifier: Apache-2.0
// Routing: the rows and which problems they serve.
#pragma once

#include "kernels/legality.h"
#include "kernels/moe/route/problem.h"

namespace warpwright {

struct MoeRouteRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    int threads = 0;       // a warp a token
    int experts = 0;       // at most; a 32nd of them in each lane's registers
    i64 shared_bytes = 0;  // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("threads", self.threads);
        v("experts", self.experts);
        v("shared_bytes", self.shared_bytes);
    }
};

constexpr i64 kMaxExperts = 1024, kMaxTopK = 32, kMaxExpertGroups = 32;

// clang-format off
// rows:begin
inline constexpr MoeRouteRow kMoeRouteRows[] = {
    // name                      class                threads experts
    {"moe_route.portable.e128",  ArchClass::portable, 128,    128},
    {"moe_route.portable.e256",  ArchClass::portable, 128,    256},
    {"moe_route.portable.e1024", ArchClass::portable, 128,    kMaxExperts},
    {"moe_route.host",           ArchClass::host,       0,    kMaxExperts},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const MoeRouteRow& row, const TargetFacts& target,
                            const MoeRouteProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (problem.experts > row.experts) return {"experts", row.experts, problem.experts, "at_most"};
    if (problem.top_k > kMaxTopK) return {"top_k", kMaxTopK, problem.top_k, "at_most"};
    if (problem.num_groups > kMaxExpertGroups) {
        return {"num_groups", kMaxExpertGroups, problem.num_groups, "at_most"};
    }
    return accepted();
}

}  // namespace warpwright
