// SPDX-License-Identifier: Apache-2.0
// Gated activation: the rows and which problems they serve.
#pragma once

#include "kernels/fused/gated_activation/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct GatedActivationRow {
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
inline constexpr GatedActivationRow kGatedActivationRows[] = {
    // name                                    class                dtype        threads vectors
    {"gated_activation.portable.bf16.t128v1",  ArchClass::portable, DType::bf16, 128, true},
    {"gated_activation.portable.bf16.any",     ArchClass::portable, DType::bf16, 256, false},
    {"gated_activation.portable.f16.t128v1",   ArchClass::portable, DType::f16,  128, true},
    {"gated_activation.portable.f16.any",      ArchClass::portable, DType::f16,  256, false},
    {"gated_activation.host.bf16",             ArchClass::host,     DType::bf16,   0, false},
    {"gated_activation.host.f16",              ArchClass::host,     DType::f16,    0, false},
};
// rows:end
// clang-format on

// Elements of one token that one block computes.
constexpr i64 chunk_elements(const GatedActivationRow& row) {
    return row.threads * (row.vectors ? 8 : 1);
}

constexpr Rejection why_not(const GatedActivationRow& row, const TargetFacts& target,
                            const GatedActivationProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    if (row.vectors) {
        if (problem.width % 8 != 0) return {"width", 8, problem.width, "multiple"};
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    }
    return accepted();
}

}  // namespace warpwright
