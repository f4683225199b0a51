// SPDX-License-Identifier: Apache-2.0
// Logits before sampling: the rows and which problems they serve.
#pragma once

#include "kernels/fused/logits/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct LogitsRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    int threads = 0;
    int vectors = 0;       // 16-byte vectors a thread has under way at once; 0: moves single elements
    i64 shared_bytes = 0;  // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("threads", self.threads);
        v("vectors", self.vectors);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr LogitsRow kLogitsRows[] = {
    // name                     class                threads vectors
    {"logits.portable.t256v8",  ArchClass::portable, 256, 8},
    {"logits.portable.any",     ArchClass::portable, 256, 0},
    {"logits.host",             ArchClass::host,       0, 0},
};
// rows:end
// clang-format on

// Logits of a row that one block has, where all of them are written.
constexpr int chunk_elements(const LogitsRow& row) {
    constexpr int kSingles = 8;  // of a thread
    return row.threads * (row.vectors > 0 ? 4 * row.vectors : kSingles);
}

// Blocks of a row: of its chunks, or else of its list, as if all rows' lists were equally long.
constexpr i64 blocks_per_row(const LogitsRow& row, const LogitsProblem& problem) {
    if (is_dense(problem)) return ceil_div(problem.vocabulary, chunk_elements(row));
    constexpr i64 kMost = 8;
    const i64 blocks = ceil_div(problem.entries, problem.rows * row.threads);
    return blocks < 1 ? 1 : blocks > kMost ? kMost : blocks;
}

constexpr Rejection why_not(const LogitsRow& row, const TargetFacts& target, const LogitsProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.vectors > 0) {
        if (problem.vocabulary % 4 != 0) return {"vocabulary", 4, problem.vocabulary, "multiple"};
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    }
    return accepted();
}

}  // namespace warpwright
