// SPDX-License-Identifier: Apache-2.0
// Merge of states: the rows and which problems they serve.
#pragma once

#include "kernels/attention/merge_state/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct MergeStateRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::bf16;
    int threads = 0;
    int lanes = 0;         // of a warp, for a (token, head)
    bool vectors = false;  // 16 bytes a lane; otherwise element by element
    i64 shared_bytes = 0;  // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("dtype", self.dtype);
        v("threads", self.threads);
        v("lanes", self.lanes);
        v("vectors", self.vectors);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr MergeStateRow kMergeStateRows[] = {
    // name                             class                dtype        threads lanes vectors
    {"merge_state.portable.bf16",      ArchClass::portable, DType::bf16, 128, 16, true},
    {"merge_state.portable.bf16.any",  ArchClass::portable, DType::bf16, 128, 32, false},
    {"merge_state.portable.f16",       ArchClass::portable, DType::f16,  128, 16, true},
    {"merge_state.portable.f16.any",   ArchClass::portable, DType::f16,  128, 32, false},
    {"merge_state.portable.f32",       ArchClass::portable, DType::f32,  128, 32, true},
    {"merge_state.portable.f32.any",   ArchClass::portable, DType::f32,  128, 32, false},
    {"merge_state.host.bf16",          ArchClass::host,     DType::bf16},
    {"merge_state.host.f16",           ArchClass::host,     DType::f16},
    {"merge_state.host.f32",           ArchClass::host,     DType::f32},
};
// rows:end
// clang-format on

constexpr int elements_per_lane(const MergeStateRow& row) {
    return row.vectors ? 16 / dtype_bytes(row.dtype) : 1;
}
constexpr int rows_per_block(const MergeStateRow& row) {
    return row.threads / row.lanes;
}

constexpr Rejection why_not(const MergeStateRow& row, const TargetFacts& target,
                            const MergeStateProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    if (row.vectors) {
        const i64 elements = elements_per_lane(row);
        if (problem.head_dim % elements != 0) return {"head_dim", elements, problem.head_dim, "multiple"};
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    }
    return accepted();
}

}  // namespace warpwright
