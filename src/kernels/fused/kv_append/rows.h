// SPDX-License-Identifier: Apache-2.0
// KV append: the rows and which problems they serve.
#pragma once

#include "kernels/fused/kv_append/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct KvAppendRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    int threads = 0;
    bool vectors = false;    // 8 elements a thread; otherwise element by element
    bool codes = false;      // for pages of 8 bits, of either format
    i64 shared_bytes = 0;    // dynamic
    RowName spill_reason{};  // not empty: some target's image of this row may spill registers, and why

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("threads", self.threads);
        v("vectors", self.vectors);
        v("codes", self.codes);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr KvAppendRow kKvAppendRows[] = {
    // name                        class                threads vectors codes
    {"kv_append.portable.t128v1",  ArchClass::portable, 128, true,  false},
    {"kv_append.portable.any",     ArchClass::portable, 128, false, false},
    {"kv_append.coded.t128v1",     ArchClass::portable, 128, true,  true},
    {"kv_append.coded.any",        ArchClass::portable, 128, false, true, 0, {"around calls of the division"}},
    {"kv_append.host",             ArchClass::host,       0, false, false},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const KvAppendRow& row, const TargetFacts& target,
                            const KvAppendProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (problem.page_size < 1 || (problem.page_size & (problem.page_size - 1)) != 0) {
        return {"page_size", 0, problem.page_size, "power_of_two"};
    }
    const bool codes = problem.kv_format != KvFormat::same;
    if (row.arch != ArchClass::host && row.codes != codes) {
        return {"codes", row.codes ? 1 : 0, codes ? 1 : 0, "bool"};
    }
    if (row.vectors) {
        if (problem.head_dim % 8 != 0) return {"head_dim", 8, problem.head_dim, "multiple"};
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    }
    return accepted();
}

}  // namespace warpwright
