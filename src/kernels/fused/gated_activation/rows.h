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
    int vectors = 0;           // of 16 bytes a thread; 0: element by element
    bool quantizes = false;    // makes codes and scales, and the 16-bit result if that is kept
    bool fp8_convert = false;  // with cvt to fp8, instead of integer arithmetic: from 8.9 on
    i64 shared_bytes = 0;      // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("dtype", self.dtype);
        v("threads", self.threads);
        v("vectors", self.vectors);
        v("quantizes", self.quantizes);
        v("fp8_convert", self.fp8_convert);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr GatedActivationRow kGatedActivationRows[] = {
    // name                                    class                dtype        threads vectors quantizes cvt
    {"gated_activation.portable.bf16.t128v1",  ArchClass::portable, DType::bf16, 128, 1},
    {"gated_activation.portable.bf16.any",     ArchClass::portable, DType::bf16, 256, 0},
    {"gated_activation.portable.f16.t128v1",   ArchClass::portable, DType::f16,  128, 1},
    {"gated_activation.portable.f16.any",      ArchClass::portable, DType::f16,  256, 0},
    {"gated_activation.quantized.bf16.t128v2",      ArchClass::portable, DType::bf16, 128, 2, true},
    {"gated_activation.quantized.bf16.t128v2.cvt",  ArchClass::portable, DType::bf16, 128, 2, true, true},
    {"gated_activation.quantized.bf16.t256v4",      ArchClass::portable, DType::bf16, 256, 4, true},
    {"gated_activation.quantized.bf16.t256v4.cvt",  ArchClass::portable, DType::bf16, 256, 4, true, true},
    {"gated_activation.quantized.bf16.t512v4",      ArchClass::portable, DType::bf16, 512, 4, true},
    {"gated_activation.quantized.bf16.t512v4.cvt",  ArchClass::portable, DType::bf16, 512, 4, true, true},
    {"gated_activation.quantized.bf16.t1024v4",     ArchClass::portable, DType::bf16, 1024, 4, true},
    {"gated_activation.quantized.bf16.t1024v4.cvt", ArchClass::portable, DType::bf16, 1024, 4, true, true},
    {"gated_activation.quantized.bf16.any",         ArchClass::portable, DType::bf16, 128, 0, true},
    {"gated_activation.quantized.f16.t128v2",       ArchClass::portable, DType::f16,  128, 2, true},
    {"gated_activation.quantized.f16.t128v2.cvt",   ArchClass::portable, DType::f16,  128, 2, true, true},
    {"gated_activation.quantized.f16.t256v4",       ArchClass::portable, DType::f16,  256, 4, true},
    {"gated_activation.quantized.f16.t256v4.cvt",   ArchClass::portable, DType::f16,  256, 4, true, true},
    {"gated_activation.quantized.f16.t512v4",       ArchClass::portable, DType::f16,  512, 4, true},
    {"gated_activation.quantized.f16.t512v4.cvt",   ArchClass::portable, DType::f16,  512, 4, true, true},
    {"gated_activation.quantized.f16.t1024v4",      ArchClass::portable, DType::f16, 1024, 4, true},
    {"gated_activation.quantized.f16.t1024v4.cvt",  ArchClass::portable, DType::f16, 1024, 4, true, true},
    {"gated_activation.quantized.f16.any",          ArchClass::portable, DType::f16,  128, 0, true},
    {"gated_activation.host.bf16",             ArchClass::host,     DType::bf16,   0, 0},
    {"gated_activation.host.f16",              ArchClass::host,     DType::f16,    0, 0},
};
// rows:end
// clang-format on

// Elements of a thread, or of a thread's step.
constexpr i64 thread_elements(const GatedActivationRow& row) {
    return row.vectors > 0 ? kVectorElements : 1;
}
// Elements of one token that one block computes.
constexpr i64 chunk_elements(const GatedActivationRow& row) {
    return row.threads * (row.vectors > 0 ? row.vectors * kVectorElements : 1);
}

// These two hide the templates of legality.h, which know no conversions.
constexpr bool image_fits(const GatedActivationRow& row, BuildTarget target) {
    return !image_misfit(row, target) && fp8_convert_fits(row, target);
}
constexpr Rejection target_misfit(const GatedActivationRow& row, const TargetFacts& target) {
    if (const Rejection rejection = target_misfit<GatedActivationRow>(row, target)) return rejection;
    return fp8_convert_misfit(row, target);
}

constexpr Rejection why_not(const GatedActivationRow& row, const TargetFacts& target,
                            const GatedActivationProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    if (row.arch == ArchClass::host) return accepted();
    if (row.quantizes != problem.quantized.quantized)
        return {"quantized", row.quantizes, problem.quantized.quantized, "bool"};
    if (row.vectors > 0) {
        if (problem.width % 8 != 0) return {"width", 8, problem.width, "multiple"};
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
        if (row.quantizes) return quantized_misfit(problem.quantized, problem.width, chunk_elements(row));
    }
    return accepted();
}

}  // namespace warpwright
