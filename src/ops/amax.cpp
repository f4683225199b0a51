// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/amax.h"

#include <fmt/format.h>

#include "dispatch/prepare.h"
#include "kernels/fused/amax/operation.h"
#include "ops/match.h"

namespace warpwright {

Status prepare(Context& context, const Amax& call, Prepared& prepared) {
    Matcher match("amax");
    match.tensor("x", call.x, {"rows", "columns"}, {DType::bf16, DType::f16})
        .tensor("out", call.out, {"parts"}, {DType::f32});
    constexpr i64 kMost = i64{1} << 31;
    match.require(match["parts"] > 0 && match["parts"] < kMost, "out has no parts, or more than 2^31");
    match.require(
        match["rows"] * (match["columns"] / 8) < kMost && match["rows"] < kMost && match["columns"] < kMost,
        fmt::format("x is [{}, {}], at most 2^34 elements can be compared", match["rows"], match["columns"]));
    WW_TRY(match.status());
    const AmaxProblem problem{.rows = match["rows"],
                              .columns = match["columns"],
                              .dtype = call.x.dtype,
                              .parts = match["parts"],
                              .alignment_bytes = alignment_of({&call.x}, prepared.batch_invariant)};
    const AmaxArgs args{.x = call.x.data,
                        .out = static_cast<float*>(call.out.data),
                        .x_stride = call.x.stride[0],
                        .column_divisor = VectorDivisor(problem.columns / 8),
                        .rows = static_cast<i32>(problem.rows),
                        .columns = static_cast<i32>(problem.columns),
                        .parts = static_cast<i32>(problem.parts)};
    return prepare_step<AmaxOp>(context, problem, args, prepared);
}

Status amax(Context& context, Stream stream, const Amax& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
