// SPDX-License-Identifier: Apache-2.0
// Combination: the rows and which problems they serve.
#pragma once

#include "kernels/legality.h"
#include "kernels/moe/combine/problem.h"

namespace warpwright {

struct MoeCombineRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::bf16;
    int threads = 0;
    bool vectors = false;  // 16 bytes a thread; otherwise element by element
    i64 shared_bytes = 0;  // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("dtype", self.dtype);
        v("threads", self.threads);
        v("vectors", self.vectors);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr MoeCombineRow kMoeCombineRows[] = {
    // name                             class                dtype        threads vectors
    {"moe_combine.portable.bf16.t128",  ArchClass::portable, DType::bf16, 128, true},
    {"moe_combine.portable.bf16.any",   ArchClass::portable, DType::bf16, 128, false},
    {"moe_combine.portable.f16.t128",   ArchClass::portable, DType::f16,  128, true},
    {"moe_combine.portable.f16.any",    ArchClass::portable, DType::f16,  128, false},
    {"moe_combine.host.bf16",           ArchClass::host,     DType::bf16,   0, false},
    {"moe_combine.host.f16",            ArchClass::host,     DType::f16,    0, false},
};
// rows:end
// clang-format on

constexpr int elements_per_thread(const MoeCombineRow& row) {
    return row.vectors ? 8 : 1;
}

constexpr Rejection why_not(const MoeCombineRow& row, const TargetFacts& target,
                            const MoeCombineProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    if (row.vectors) {
        if (problem.width % 8 != 0) return {"width", 8, problem.width, "multiple"};
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    }
    return accepted();
}

}  // namespace warpwright
