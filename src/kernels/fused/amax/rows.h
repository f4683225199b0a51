// SPDX-License-Identifier: Apache-2.0
// Largest magnitudes: the rows and which problems they serve.
#pragma once

#include "kernels/fused/amax/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct AmaxRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::bf16;
    int threads = 0;
    int vectors = 0;       // 16-byte vectors a thread has under way; 0: any size, element by element
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
inline constexpr AmaxRow kAmaxRows[] = {
    // name                         class                dtype        threads vectors
    {"amax.portable.bf16.t256v8",   ArchClass::portable, DType::bf16, 256, 8},
    {"amax.portable.bf16.any",      ArchClass::portable, DType::bf16, 256, 0},
    {"amax.portable.f16.t256v8",    ArchClass::portable, DType::f16,  256, 8},
    {"amax.portable.f16.any",       ArchClass::portable, DType::f16,  256, 0},
    {"amax.host.bf16",              ArchClass::host,     DType::bf16},
    {"amax.host.f16",               ArchClass::host,     DType::f16},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const AmaxRow& row, const TargetFacts& target, const AmaxProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    if (row.vectors > 0) {
        if (problem.columns % 8 != 0) return {"columns", 8, problem.columns, "multiple"};
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    }
    return accepted();
}

}  // namespace warpwright
