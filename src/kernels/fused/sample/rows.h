// SPDX-License-Identifier: Apache-2.0
// Sampling: the rows and which problems they serve.
#pragma once

#include "kernels/fused/sample/draw.h"
#include "kernels/fused/sample/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct SampleRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::f32;
    int threads = 0;       // per row of logits
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
inline constexpr SampleRow kSampleRows[] = {
    // name                          class                dtype        threads vectors
    {"sample.portable.f32.t1024",    ArchClass::portable, DType::f32,  1024, true},
    {"sample.portable.f32.any",      ArchClass::portable, DType::f32,  1024, false},
    {"sample.portable.bf16.t1024",   ArchClass::portable, DType::bf16, 1024, true},
    {"sample.portable.bf16.any",     ArchClass::portable, DType::bf16, 1024, false},
    {"sample.portable.f16.t1024",    ArchClass::portable, DType::f16,  1024, true},
    {"sample.portable.f16.any",      ArchClass::portable, DType::f16,  1024, false},
    {"sample.host.f32",              ArchClass::host,     DType::f32,     0, false},
    {"sample.host.bf16",             ArchClass::host,     DType::bf16,    0, false},
    {"sample.host.f16",              ArchClass::host,     DType::f16,     0, false},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const SampleRow& row, const TargetFacts& target, const SampleProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    if (problem.vocabulary > kMaxVocabulary) {
        return {"vocabulary", kMaxVocabulary, problem.vocabulary, "at_most"};
    }
    if (row.vectors) {
        const i64 per_vector = 16 / dtype_bytes(problem.dtype);
        if (problem.vocabulary % per_vector != 0) {
            return {"vocabulary", per_vector, problem.vocabulary, "multiple"};
        }
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    }
    return accepted();
}

}  // namespace warpwright
