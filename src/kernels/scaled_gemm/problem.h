// SPDX-License-Identifier: Apache-2.0
// Product of two matrices of 8-bit codes with scales: D = epilogue(sum over k of scaled A x scaled B^T). The
// definition is in warpwright/ops/scaled_gemm.h.
#pragma once

#include "kernels/gemm/groups.h"
#include "kernels/gemm/problem.h"
#include "warpwright/quantize_format.h"

namespace warpwright {

// What shares a scale.
//   outer   all of a row of A, or all of A; all of a row of B, or all of B: sums are scaled when they are
//   done blocks  1 x 128 elements of A, 128 x 128 of B: sums of 128 of k are scaled and added mx      1 x 32
//   elements of both, e8m0: sums of 32 of k are
enum class Scaling : u8 { outer, blocks, mx };

constexpr const char* enum_text(Scaling scaling) {
    switch (scaling) {
        case Scaling::outer: return "outer";
        case Scaling::blocks: return "blocks";
        case Scaling::mx: return "mx";
    }
    return "?";
}
// Elements of k that share a scale; 0: all.
constexpr int group_k(Scaling scaling) {
    return scaling == Scaling::outer ? 0 : scaling == Scaling::blocks ? 128 : 32;
}
constexpr int kScaleRowsOfB = 128;  // of blocks

// Sums of products of i8 are exact in 32 bits for a k below this: 2^31 / 128^2.
constexpr i64 kLargestIntegerK = 131072;

struct ScaledGemmProblem {
    i64 m = 1;
    i64 n = 4096;
    i64 k = 4096;
    CodeType code = CodeType::e4m3;  // of a and b: e4m3 or i8
    Scaling scaling = Scaling::outer;
    DType dtype = DType::bf16;  // of bias and gate
    DType out = DType::bf16;    // of d and residual: dtype or f32; u8: codes, with a residual of dtype
    bool bias = false;
    bool gate = false;
    bool residual = false;
    Activation activation = Activation::none;
    Grouping grouping = Grouping::none;
    i64 groups = 1;
    i64 expected_m = 0;        // masked: rows that a group is expected to have; 0: m
    i64 alignment_bytes = 16;  // what every row's start in a and b is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("m", self.m);
        v("n", self.n);
        v("k", self.k);
        v("code", self.code);
        v("scaling", self.scaling);
        v("dtype", self.dtype);
        v("out", self.out);
        v("bias", self.bias);
        v("gate", self.gate);
        v("residual", self.residual);
        v("activation", self.activation);
        v("grouping", self.grouping);
        v("groups", self.groups);
        v("expected_m", self.expected_m);
        v("alignment_bytes", self.alignment_bytes);
    }
    // As gemm's.
    constexpr ScaledGemmProblem canonical() const {
        ScaledGemmProblem problem = *this;
        problem.m = 128;
        problem.expected_m = 0;
        return problem;
    }
};

// Scales of one operand: that of row r (of 128 rows of B where scaling is blocks) and of the g-th part of k
// is element r * row_stride + g * k_stride of a group's.
struct ScaleArgs {
    const void* data;  // fp32, or e8m0
    i64 row_stride;    // 0: one for all rows
    i64 k_stride;
    i64 group_stride;
};

struct ScaledGemmArgs {
    GemmArgs gemm;  // a, b: codes
    GroupArgs groups;
    ScaleArgs a_scale, b_scale;
    const i32* a_zeros;  // i8: zero points of rows of A, or null
    const i32* b_sums;   // i8: sums of rows of B, where there are zero points
    i64 a_zero_stride;   // 0: one for all rows
    i64 b_sum_group_stride;
    bool scale_words;  // mx: four scales of a row, from a multiple of four on, are a word in memory
    DType dtype;       // of bias and gate, and of d and residual where they are neither f32 nor codes
};

}  // namespace warpwright
