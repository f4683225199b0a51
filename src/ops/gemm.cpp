// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/gemm.h"

#include "dispatch/prepare.h"
#include "kernels/gemm/operation.h"
#include "ops/match.h"
#include "ops/product_args.h"

namespace warpwright {

Status prepare(Context& context, const Gemm& call, Prepared& prepared) {
    const bool has_codes = call.d.dtype == DType::u8;
    Matcher match("gemm");
    match.tensor("a", call.a, {"m", "k"}, {DType::bf16, DType::f16})
        .tensor("b", call.b, {"n", "k"}, {call.a.dtype})
        .tensor("d", call.d, {"m", "n"}, {call.a.dtype, DType::f32, DType::u8})
        .tensor("bias", call.bias, {"n"}, {call.a.dtype}, {.optional = true})
        .tensor("gate", call.gate, {"m", "n"}, {call.a.dtype}, {.optional = true})
        .tensor("residual", call.residual, {"m", "n"}, {has_codes ? call.a.dtype : call.d.dtype},
                {.optional = true})
        .require(!call.a || call.a.rank != 2 || call.a.shape[1] > 0, "k must be at least 1, got 0");
    match_codes(match, call, has_codes);
    WW_TRY(match.status());
    const i64 m = match["m"], n = match["n"], k = match["k"];
    if (m == 0 || n == 0) return {};
    require_product_sizes(match, m, n, k);
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
    GemmArgs args = product_args(call, m, n, k, context.target().facts.num_sms);
    args.b = call.b.data;
    args.b_stride = call.b.stride[0];
    set_codes(args, call);
    return prepare_step<GemmOp>(context, problem, args, prepared);
}

Status gemm(Context& context, Stream stream, const Gemm& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
