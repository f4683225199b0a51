// SPDX-License-Identifier: Apache-2.0
// The best keys of each query: the rows and which problems they serve.
#pragma once

#include "kernels/attention/index_topk/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct IndexTopkRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    int threads = 0;       // of a query
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
inline constexpr IndexTopkRow kIndexTopkRows[] = {
    // name                  class                threads
    {"index_topk.portable",  ArchClass::portable, 1024},
    {"index_topk.host",      ArchClass::host},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const IndexTopkRow& row, const TargetFacts& target,
                            const IndexTopkProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (problem.k < 1) return {"k", 1, problem.k, "at_least"};
    if (problem.page_size < 0 || (problem.page_size & (problem.page_size - 1)) != 0)
        return {"page_size", 0, problem.page_size, "power_of_two"};
    return accepted();
}

}  // namespace warpwright
