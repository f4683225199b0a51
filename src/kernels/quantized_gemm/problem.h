// SPDX-License-Identifier: Apache-2.0
// Matrix product with weights of few bits: D = epilogue(A x dequant(W)^T). The definition is in
// warpwright/ops/quantized_gemm.h.
#pragma once

#include "kernels/gemm/groups.h"
#include "kernels/quantized_gemm/layout.h"

namespace warpwright {

struct QuantizedGemmProblem {
    i64 m = 1;
    i64 n = 4096;
    i64 k = 4096;
    DType dtype = DType::bf16;  // of a, bias and gate
    DType out = DType::bf16;    // of d and residual: dtype or f32; u8: codes, with a residual of dtype
    WeightFormat format = WeightFormat::int4;
    i64 group = 128;            // elements of k that share a scale; 0: the whole row
    DType scale = DType::bf16;  // of the scales; u8 for the formats whose scales have a byte
    bool zeros = false;         // zero points are given
    bool order = false;         // columns of A are taken in a given order (act-order)
    bool bias = false;
    bool gate = false;
    bool residual = false;
    Activation activation = Activation::none;
    Grouping grouping = Grouping::none;
    i64 groups = 1;            // of rows of A, each with a weight of its own; not those of scales
    i64 expected_groups = 0;   // of groups: how many are expected to have rows; 0: all
    i64 expected_m = 0;        // and how many rows one of those; 0: as many as there is place for
    i64 alignment_bytes = 16;  // what every row's start in a is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("m", self.m);
        v("n", self.n);
        v("k", self.k);
        v("dtype", self.dtype);
        v("out", self.out);
        v("format", self.format);
        v("group", self.group);
        v("scale", self.scale);
        v("zeros", self.zeros);
        v("order", self.order);
        v("bias", self.bias);
        v("gate", self.gate);
        v("residual", self.residual);
        v("activation", self.activation);
        v("grouping", self.grouping);
        v("groups", self.groups);
        v("expected_groups", self.expected_groups);
        v("expected_m", self.expected_m);
        v("alignment_bytes", self.alignment_bytes);
    }
    // As gemm's.
    constexpr QuantizedGemmProblem canonical() const {
        QuantizedGemmProblem problem = *this;
        problem.m = 128;
        problem.expected_groups = problem.expected_m = 0;
        return problem;
    }
};

// How a lane's pair of scales of 16 or 32 bits becomes two numbers, without a branch: f16 is moved into the
// places of fp32 and its exponent's bias made up for.
struct ScaleForm {
    u32 left, right, mask;
    float factor;
    i32 second_bytes;  // from the word with the first scale to that with the second
};
constexpr ScaleForm scale_form(DType type) {
    if (type == DType::f32) return {0, 0, 0xffffffffu, 1, 4};
    return {16, type == DType::f16 ? 3u : 0u, 0xffff0000u, type == DType::f16 ? 0x1p112f : 1.0f, 0};
}

struct QuantizedGemmArgs {
    GemmArgs gemm;               // b: packed codes, without a stride
    GroupArgs groups;            // b_stride: bytes of codes
    const void* scales;          // packed
    const void* zeros;           // packed u8, or null
    const i32* order;            // [k]: the column of A for each k of W; or null
    const float* global_scales;  // [groups], or null
    float global_scale;          // times every weight
    i64 scale_stride;            // from a group's first scale and zero point to the next one's, in scales
    i32 scale_bytes;             // of one
    i32 scale_step_bytes;        // of the scales of 64 rows and 64 of k
    i32 num_groups;              // packed_groups
    i32 group_shift;             // log2 of the steps of 64 of k that share a scale
    bool halves;                 // a scale for each 32 of k, of formats that do not say so themselves
    DType scale;
    ScaleForm form;  // of scale
};

// The argument of a shift: 31 where the whole row shares a scale.
constexpr i32 group_shift_of(i64 group) {
    if (group == 0) return 31;
    i32 shift = 0;
    while ((i64{kPackedK} << shift) < group) ++shift;
    return shift;
}

}  // namespace warpwright
