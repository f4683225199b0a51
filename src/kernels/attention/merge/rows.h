// SPDX-License-Identifier: Apache-2.0
// Attention merge: the rows and which problems they serve.
#pragma once

#include "kernels/attention/merge/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct AttentionMergeRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::bf16;
    int threads = 0;
    int row_warps = 1;     // that divide the splits of a (token, head)
    i64 shared_bytes = 0;  // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("dtype", self.dtype);
        v("threads", self.threads);
        v("row_warps", self.row_warps);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr AttentionMergeRow kAttentionMergeRows[] = {
    {"attention_merge.portable.bf16",    ArchClass::portable, DType::bf16, 128, 1},
    {"attention_merge.portable.f16",     ArchClass::portable, DType::f16,  128, 1},
    {"attention_merge.portable.bf16.w4", ArchClass::portable, DType::bf16, 128, 4},
    {"attention_merge.portable.f16.w4",  ArchClass::portable, DType::f16,  128, 4},
    {"attention_merge.host.bf16",        ArchClass::host,     DType::bf16},
    {"attention_merge.host.f16",         ArchClass::host,     DType::f16},
};
// rows:end
// clang-format on

// What a block has a share of: (token, head) rows, and columns of each.
constexpr int rows_per_block(const AttentionMergeRow& row) {
    return row.threads / 32 / row.row_warps;
}
constexpr int kMergeColumns = 128;  // a lane has four
constexpr int kMergeBatch = 8;      // splits whose outputs a warp reads at once

constexpr Rejection why_not(const AttentionMergeRow& row, const TargetFacts& target,
                            const AttentionMergeProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    return accepted();
}

}  // namespace warpwright
