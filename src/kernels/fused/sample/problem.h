// SPDX-License-Identifier: Apache-2.0
// Draws one token a row: temperature, top-k, top-p, min-p, then the inverse of the distribution function at a
// Philox number. draw.h defines every step. The parameters are per row and in device memory.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct SampleProblem {
    i64 rows = 1;
    i64 vocabulary = 128256;
    DType dtype = DType::f32;
    i64 alignment_bytes = 16;  // what every row's start is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("rows", self.rows);
        v("vocabulary", self.vocabulary);
        v("dtype", self.dtype);
        v("alignment_bytes", self.alignment_bytes);
    }
    constexpr SampleProblem canonical() const {
        SampleProblem problem = *this;
        problem.rows = 128;
        return problem;
    }
};

struct SampleArgs {
    const void* logits;  // [rows, vocabulary], row stride logits_stride elements
    const float* temperature;
    const i32* top_k;
    const float* top_p;
    const float* min_p;
    const i32* seeds;  // [rows, 2], row stride seeds_stride
    const i32* steps;
    i32* tokens;
    i64 logits_stride;
    i64 seeds_stride;
    i32 rows;
    i32 vocabulary;
};

}  // namespace warpwright
