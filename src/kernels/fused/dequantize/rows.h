// SPDX-License-Identifier: Apache-2.0
// Numbers of codes and scales: the rows and which problems they serve.
#pragma once

#include "kernels/fused/dequantize/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct DequantizeRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType out = DType::bf16;
    int threads = 0;
    int vectors = 0;       // of eight elements that a thread has under way; 0: a byte of codes at a time
    i64 shared_bytes = 0;  // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("out", self.out);
        v("threads", self.threads);
        v("vectors", self.vectors);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr DequantizeRow kDequantizeRows[] = {
    // name                             class                out          threads vectors
    {"dequantize.portable.bf16.t256v4", ArchClass::portable, DType::bf16, 256, 4},
    {"dequantize.portable.bf16.any",    ArchClass::portable, DType::bf16, 256, 0},
    {"dequantize.portable.f16.t256v4",  ArchClass::portable, DType::f16,  256, 4},
    {"dequantize.portable.f16.any",     ArchClass::portable, DType::f16,  256, 0},
    {"dequantize.portable.f32.t256v4",  ArchClass::portable, DType::f32,  256, 4},
    {"dequantize.portable.f32.any",     ArchClass::portable, DType::f32,  256, 0},
    {"dequantize.host.bf16",            ArchClass::host,     DType::bf16},
    {"dequantize.host.f16",             ArchClass::host,     DType::f16},
    {"dequantize.host.f32",             ArchClass::host,     DType::f32},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const DequantizeRow& row, const TargetFacts& target,
                            const DequantizeProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.out != problem.out) return dtype_rejection("out", row.out, problem.out);
    if (row.vectors == 0) return accepted();
    if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    if (problem.columns % kVectorElements != 0)
        return {"columns", kVectorElements, problem.columns, "multiple"};
    if (problem.group_columns < problem.columns && problem.group_columns % kVectorElements != 0)
        return {"group_columns", kVectorElements, problem.group_columns, "multiple"};
    return accepted();
}

}  // namespace warpwright
