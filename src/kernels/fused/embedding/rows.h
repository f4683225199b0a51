// SPDX-License-Identifier: Apache-2.0
// Embedding: the rows and which problems they serve.
#pragma once

#include "kernels/fused/embedding/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct EmbeddingRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    int threads = 0;
    bool vectors = false;  // 16 bytes a thread; otherwise element by element
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
inline constexpr EmbeddingRow kEmbeddingRows[] = {
    // name                        class                threads vectors
    {"embedding.portable.t128v1",  ArchClass::portable, 128, true},
    {"embedding.portable.any",     ArchClass::portable, 128, false},
    {"embedding.host",             ArchClass::host,       0, false},
};
// rows:end
// clang-format on

// What one block copies of one token.
constexpr i64 chunk_bytes(const EmbeddingRow& row, i64 element_bytes) {
    return row.threads * (row.vectors ? 16 : element_bytes);
}

constexpr Rejection why_not(const EmbeddingRow& row, const TargetFacts& target,
                            const EmbeddingProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.vectors) {
        const i64 per_vector = 16 / dtype_bytes(problem.dtype);
        if (problem.width % per_vector != 0) return {"width", per_vector, problem.width, "multiple"};
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    }
    return accepted();
}

}  // namespace warpwright
