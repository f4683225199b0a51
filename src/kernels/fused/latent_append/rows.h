// SPDX-License-Identifier: Apache-2.0
// Latent append: the rows and which problems they serve.
#pragma once

#include "kernels/fused/latent_append/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct LatentAppendRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    int threads = 0;
    bool vectors = false;    // 16 bytes are loaded and 8 stored at once; otherwise numbers and bytes
    i64 shared_bytes = 0;    // dynamic
    RowName spill_reason{};  // not empty: some target's image of this row may spill registers, and why

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("threads", self.threads);
        v("vectors", self.vectors);
        v("shared_bytes", self.shared_bytes);
    }
};

constexpr int kLatentLanes = kLatentGroup / 8;  // of a group, 8 numbers each

// clang-format off
// rows:begin
inline constexpr LatentAppendRow kLatentAppendRows[] = {
    // name                           class                threads vectors
    {"latent_append.portable.t128v1", ArchClass::portable, 128,    true},
    {"latent_append.portable.any",    ArchClass::portable, 128,    false},
    {"latent_append.host",            ArchClass::host,     0,      false},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const LatentAppendRow& row, const TargetFacts& target,
                            const LatentAppendProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (problem.page_size < 1 || (problem.page_size & (problem.page_size - 1)) != 0)
        return {"page_size", 0, problem.page_size, "power_of_two"};
    if (dtype_of(problem.scale) != DType::f32) return {"scales_f32", 1, 0, "bool"};
    if (row.vectors && problem.alignment_bytes % 16 != 0)
        return {"alignment", 16, problem.alignment_bytes, "multiple"};
    return accepted();
}

}  // namespace warpwright
