// SPDX-License-Identifier: Apache-2.0
// RMSNorm: the rows and which problems they serve.
#pragma once

#include "kernels/fused/rmsnorm/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct RmsNormRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::bf16;
    int threads = 0;           // of a block
    int vectors = 0;           // 16-byte vectors a thread keeps in registers; 0: any size, element by element
    int lanes = 0;             // of a warp that normalise one row together; 0: the whole block does
    bool quantizes = false;    // makes codes and scales, and the 16-bit result if that is kept
    bool fp8_convert = false;  // with cvt to fp8, instead of integer arithmetic: from 8.9 on
    bool bias = false;         // LayerNorm
    i64 shared_bytes = 0;      // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("dtype", self.dtype);
        v("threads", self.threads);
        v("vectors", self.vectors);
        v("lanes", self.lanes);
        v("quantizes", self.quantizes);
        v("fp8_convert", self.fp8_convert);
        v("bias", self.bias);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr RmsNormRow kRmsNormRows[] = {
    // name                                 class                dtype        threads vectors lanes quantizes cvt bias
    {"rmsnorm.portable.bf16.l8v1",     ArchClass::portable, DType::bf16, 128, 1, 8},
    {"rmsnorm.portable.bf16.l16v1",    ArchClass::portable, DType::bf16, 128, 1, 16},
    {"rmsnorm.portable.bf16.l32v1",    ArchClass::portable, DType::bf16, 128, 1, 32},
    {"rmsnorm.portable.bf16.t64v2",    ArchClass::portable, DType::bf16,  64, 2},
    {"rmsnorm.portable.bf16.t256v2",   ArchClass::portable, DType::bf16, 256, 2},
    {"rmsnorm.portable.bf16.t512v4",   ArchClass::portable, DType::bf16, 512, 4},
    {"rmsnorm.portable.bf16.l32any",   ArchClass::portable, DType::bf16, 128, 0, 32},
    {"rmsnorm.portable.bf16.any",      ArchClass::portable, DType::bf16, 256, 0},
    {"rmsnorm.portable.f16.l8v1",      ArchClass::portable, DType::f16,  128, 1, 8},
    {"rmsnorm.portable.f16.l16v1",     ArchClass::portable, DType::f16,  128, 1, 16},
    {"rmsnorm.portable.f16.l32v1",     ArchClass::portable, DType::f16,  128, 1, 32},
    {"rmsnorm.portable.f16.t64v2",     ArchClass::portable, DType::f16,   64, 2},
    {"rmsnorm.portable.f16.t256v2",    ArchClass::portable, DType::f16,  256, 2},
    {"rmsnorm.portable.f16.t512v4",    ArchClass::portable, DType::f16,  512, 4},
    {"rmsnorm.portable.f16.l32any",    ArchClass::portable, DType::f16,  128, 0, 32},
    {"rmsnorm.portable.f16.any",       ArchClass::portable, DType::f16,  256, 0},
    {"rmsnorm.quantized.bf16.t64v2",        ArchClass::portable, DType::bf16,  64, 2, 0, true},
    {"rmsnorm.quantized.bf16.t64v2.cvt",    ArchClass::portable, DType::bf16,  64, 2, 0, true, true},
    {"rmsnorm.quantized.bf16.t256v2",       ArchClass::portable, DType::bf16, 256, 2, 0, true},
    {"rmsnorm.quantized.bf16.t256v2.cvt",   ArchClass::portable, DType::bf16, 256, 2, 0, true, true},
    {"rmsnorm.quantized.bf16.t256v4.cvt",   ArchClass::portable, DType::bf16, 256, 4, 0, true, true},
    {"rmsnorm.quantized.bf16.t512v2",       ArchClass::portable, DType::bf16, 512, 2, 0, true},
    {"rmsnorm.quantized.bf16.t512v2.cvt",   ArchClass::portable, DType::bf16, 512, 2, 0, true, true},
    {"rmsnorm.quantized.bf16.t512v4",       ArchClass::portable, DType::bf16, 512, 4, 0, true},
    {"rmsnorm.quantized.bf16.t512v4.cvt",   ArchClass::portable, DType::bf16, 512, 4, 0, true, true},
    {"rmsnorm.quantized.bf16.any",          ArchClass::portable, DType::bf16, 128, 0, 32, true},
    {"rmsnorm.quantized.f16.t64v2",         ArchClass::portable, DType::f16,   64, 2, 0, true},
    {"rmsnorm.quantized.f16.t64v2.cvt",     ArchClass::portable, DType::f16,   64, 2, 0, true, true},
    {"rmsnorm.quantized.f16.t256v2",        ArchClass::portable, DType::f16,  256, 2, 0, true},
    {"rmsnorm.quantized.f16.t256v2.cvt",    ArchClass::portable, DType::f16,  256, 2, 0, true, true},
    {"rmsnorm.quantized.f16.t256v4.cvt",    ArchClass::portable, DType::f16,  256, 4, 0, true, true},
    {"rmsnorm.quantized.f16.t512v2",        ArchClass::portable, DType::f16,  512, 2, 0, true},
    {"rmsnorm.quantized.f16.t512v2.cvt",    ArchClass::portable, DType::f16,  512, 2, 0, true, true},
    {"rmsnorm.quantized.f16.t512v4",        ArchClass::portable, DType::f16,  512, 4, 0, true},
    {"rmsnorm.quantized.f16.t512v4.cvt",    ArchClass::portable, DType::f16,  512, 4, 0, true, true},
    {"rmsnorm.quantized.f16.any",           ArchClass::portable, DType::f16,  128, 0, 32, true},
    {"rmsnorm.portable.bf16.l32bias",  ArchClass::portable, DType::bf16, 128, 0, 32, false, false, true},
    {"rmsnorm.host.bf16",              ArchClass::host,     DType::bf16,   0, 0},
    {"rmsnorm.host.f16",               ArchClass::host,     DType::f16,    0, 0},
};
// rows:end
// clang-format on

// Threads that normalise one row together, and rows of a block.
constexpr int threads_per_row(const RmsNormRow& row) {
    return row.lanes > 0 ? row.lanes : row.threads;
}
constexpr int rows_per_block(const RmsNormRow& row) {
    return row.lanes > 0 ? row.threads / row.lanes : 1;
}

constexpr i64 max_hidden(const RmsNormRow& row) {
    return i64{threads_per_row(row)} * row.vectors * 8;
}

// These two hide the templates of legality.h, which know no conversions.
constexpr bool image_fits(const RmsNormRow& row, BuildTarget target) {
    return !image_misfit(row, target) && fp8_convert_fits(row, target);
}
constexpr Rejection target_misfit(const RmsNormRow& row, const TargetFacts& target) {
    if (const Rejection rejection = target_misfit<RmsNormRow>(row, target)) return rejection;
    return fp8_convert_misfit(row, target);
}

constexpr Rejection why_not(const RmsNormRow& row, const TargetFacts& target, const RmsNormProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    if (problem.bias && problem.residual) return {"residual", 0, 1, "bool"};
    if (problem.bias && problem.quantized.quantized) return {"quantized", 0, 1, "bool"};
    if (row.arch == ArchClass::host) return accepted();
    if (row.bias != problem.bias) return {"bias", row.bias, problem.bias, "bool"};
    if (row.quantizes != problem.quantized.quantized)
        return {"quantized", row.quantizes, problem.quantized.quantized, "bool"};
    if (row.quantizes && problem.heads != 1) return {"heads", 1, problem.heads, ""};
    if (row.vectors > 0) {
        if (problem.hidden > max_hidden(row)) return {"hidden", max_hidden(row), problem.hidden, "at_most"};
        if (problem.hidden % 8 != 0) return {"hidden", 8, problem.hidden, "multiple"};
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
        if (row.quantizes) return quantized_misfit(problem.quantized, problem.hidden, max_hidden(row));
    }
    return accepted();
}

}  // namespace warpwright
