// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/gemm.h"

#include "dispatch/prepare.h"
#include "kernels/gemm/operation.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const Gemm& call, Prepared& prepared) {
    Matcher match("gemm");
    match.tensor("a", call.a, {"m", "k"}, {DType::bf16, DType::f16})
        .tensor("b", call.b, {"n", "k"}, {call.a.dtype})
        .tensor("d", call.d, {"m", "n"}, {call.a.dtype, DType::f32})
        .tensor("bias", call.bias, {"n"}, {call.a.dtype}, {.optional = true})
        .tensor("gate", call.gate, {"m", "n"}, {call.a.dtype}, {.optional = true})
        .tensor("residual", call.residual, {"m", "n"}, {call.d.dtype}, {.optional = true})
        .require(!call.a || call.a.rank != 2 || call.a.shape[1] > 0, "k must be at least 1, got 0");
    WW_TRY(match.status());
    const i64 m = match["m"], n = match["n"], k = match["k"];
    if (m == 0 || n == 0) return {};
    constexpr i64 kLargest = 0x7fffffff - 4096;  // sizes are 32-bit in kernels, and tiles reach past them
    match.require(m <= kLargest && n <= kLargest && k <= kLargest,
                  "m, n and k must be below 2^31 - 4096, got " + std::to_string(m) + ", " +
                      std::to_string(n) + " and " + std::to_string(k));
    WW_TRY(match.status());

    const GemmProblem problem{.m = m,
                              .n = n,
                              .k = k,
                              .dtype = call.a.dtype,
                              .out = call.d.dtype,
                              .bias = static_cast<bool>(call.bias),
                              .gate = static_cast<bool>(call.gate),
                              .residual = static_cast<bool>(call.residual),
                              .activation = call.activation,
                              .alignment_bytes = alignment_of({&call.a, &call.b}, prepared.batch_invariant)};
    const GemmArgs args{.a = call.a.data,
                        .b = call.b.data,
                        .d = call.d.data,
                        .bias = call.bias.data,
                        .gate = call.gate.data,
                        .residual = call.residual.data,
                        .a_stride = call.a.stride[0],
                        .b_stride = call.b.stride[0],
                        .d_stride = call.d.stride[0],
                        .gate_stride = call.gate.stride[0],
                        .residual_stride = call.residual.stride[0],
                        .m = static_cast<i32>(m),
                        .n = static_cast<i32>(n),
                        .k = static_cast<i32>(k),
                        .num_sms = context.target().facts.num_sms,
                        .activation = call.activation,
                        .b_is_constant = call.b_is_constant,
                        .out_f32 = call.d.dtype == DType::f32,
                        .out_aligned = alignment_of({&call.d, &call.bias, &call.gate, &call.residual}) >= 16};
    return prepare_step<GemmOp>(context, problem, args, prepared);
}

Status gemm(Context& context, Stream stream, const Gemm& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
