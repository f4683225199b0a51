// SPDX-License-Identifier: Apache-2.0
// RoPE: the rows and which problems they serve.
#pragma once

#include "kernels/fused/rope/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct RopeRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::bf16;
    int threads = 0;         // per token
    int max_pairs = 0;       // cosines and sines kept in shared memory; 0: any size, element by element
    i64 shared_bytes = 0;    // dynamic
    RowName spill_reason{};  // not empty: some target's image of this row may spill registers, and why
    bool codes = false;      // to pages of 8 bits, of either format

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("dtype", self.dtype);
        v("threads", self.threads);
        v("max_pairs", self.max_pairs);
        v("shared_bytes", self.shared_bytes);
        v("codes", self.codes);
    }
};

// clang-format off
// rows:begin
inline constexpr RopeRow kRopeRows[] = {
    // name                           class                dtype        threads pairs
    {"rope.portable.bf16.t256",       ArchClass::portable, DType::bf16, 256, 256, 0, {"six blocks leave 40"}},
    {"rope.portable.bf16.any",        ArchClass::portable, DType::bf16, 128,   0},
    {"rope.portable.bf16.codes.t256", ArchClass::portable, DType::bf16, 256, 256, 0, {}, true},
    {"rope.portable.bf16.codes.any",  ArchClass::portable, DType::bf16, 128,   0, 0, {}, true},
    {"rope.portable.f16.t256",        ArchClass::portable, DType::f16,  256, 256, 0, {"six blocks leave 40"}},
    {"rope.portable.f16.any",         ArchClass::portable, DType::f16,  128,   0},
    {"rope.portable.f16.codes.t256",  ArchClass::portable, DType::f16,  256, 256, 0, {}, true},
    {"rope.portable.f16.codes.any",   ArchClass::portable, DType::f16,  128,   0, 0, {}, true},
    {"rope.host.bf16",                ArchClass::host,     DType::bf16,   0,   0},
    {"rope.host.f16",                 ArchClass::host,     DType::f16,    0,   0},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const RopeRow& row, const TargetFacts& target, const RopeProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    if ((problem.page_size & (problem.page_size - 1)) != 0) {
        return {"page_size", 0, problem.page_size, "power_of_two"};
    }
    const bool codes = problem.page_size > 0 && problem.kv_format != KvFormat::same;
    if (row.arch != ArchClass::host && row.codes != codes) {
        return {"codes", row.codes ? 1 : 0, codes ? 1 : 0, "bool"};
    }
    if (row.max_pairs > 0) {
        const i64 max_rotary = 2 * row.max_pairs;
        if (problem.rotary_dim > max_rotary) return {"rotary_dim", max_rotary, problem.rotary_dim, "at_most"};
        // Two vectors of 8: of both halves (neox), or beside each other.
        if (problem.rotary_dim % 16 != 0) return {"rotary_dim", 16, problem.rotary_dim, "multiple"};
        if (problem.page_size > 0 && problem.head_dim % 16 != 0) {
            return {"head_dim", 16, problem.head_dim, "multiple"};
        }
        if (problem.page_size > 0 && problem.value_dim % 16 != 0) {
            return {"value_dim", 16, problem.value_dim, "multiple"};
        }
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    }
    return accepted();
}

}  // namespace warpwright
