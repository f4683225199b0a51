// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "dispatch/prepare.h"
#include "kernels/fused/quantize/operation.h"
#include "ops/match.h"
#include "ops/quantized_output.h"
#include "warpwright/ops/amax.h"

namespace warpwright {
namespace {

// Rows without gaps between them are one row: places in it need no division.
void flatten(QuantizeArgs& args) {
    const i64 row_bytes = i64{args.columns} * facts_of(args.code).bits / 8;
    const bool is_dense = args.x_stride == args.columns && args.codes_stride == row_bytes && !args.swizzled &&
                          (args.given_scale || args.amax_parts != nullptr ||
                           (args.scale_row_stride == args.scale_columns && args.scale_column_stride == 1));
    const i64 elements = i64{args.rows} * args.columns;
    constexpr i64 kMost = i64{1} << 30;
    if (!is_dense || args.group_rows != 1 || args.columns % args.group_columns != 0 || elements > kMost)
        return;
    args.scale_columns *= args.rows;
    args.columns = static_cast<i32>(elements);
    args.rows = 1;
}

}  // namespace

Status prepare(Context& context, const Quantize& call, Prepared& prepared) {
    Matcher match("quantize");
    match.tensor("x", call.x, {"rows", "columns"}, {DType::bf16, DType::f16});
    WW_TRY(match.status());
    const i64 rows = match["rows"], columns = match["columns"];
    if (rows == 0 || columns == 0) return {};

    const QuantizedOutput output{.format = call.format,
                                 .codes = call.codes,
                                 .scales = call.scales,
                                 .global_scale = call.global_scale,
                                 .swizzled = call.swizzled,
                                 .given_scale = call.given_scale,
                                 .least_amax = call.least_amax};
    QuantizeProblem problem{
        .rows = rows,
        .columns = columns,
        .dtype = call.x.dtype,
        .alignment_bytes = std::min(alignment_of({&call.x}, prepared.batch_invariant),
                                    alignment_of_codes(output, prepared.batch_invariant))};
    WW_TRY(match_codes("quantize", output, problem));
    constexpr i64 kMost = i64{1} << 30;
    if (round_up(rows, kSwizzleRows) * ceil_div(columns, kVectorElements) > kMost || columns > kMost) {
        return caller_error(
            fmt::format("quantize: x is [{}, {}], at most 2^33 elements can be quantised", rows, columns));
    }
    const bool needs_amax =
        call.format.group_rows == 0 && call.format.group_columns == 0 && !call.given_scale;
    if (needs_amax) {
        match.tensor("amax_parts", call.amax_parts, {"parts"}, {DType::f32})
            .require(dtype_of(problem.scale) == DType::f32,
                     "coded scales are of groups, not of the whole tensor");
        match.require(match["parts"] == kAmaxParts,
                      fmt::format("amax_parts must be [{}], got [{}]", kAmaxParts, match["parts"]));
        match.require(reinterpret_cast<std::uintptr_t>(call.amax_parts.data) % 16 == 0,
                      "amax_parts must start at a multiple of 16 bytes");
        WW_TRY(match.status());
        WW_TRY(prepare(context, Amax{.x = call.x, .out = call.amax_parts}, prepared));
        problem.amax_parts = kAmaxParts;
    }
    // One scale for all: each row by itself, nothing is to be found out.
    if (call.given_scale || needs_amax) problem.group_rows = 1;
    QuantizeArgs args = quantize_args(output, problem);
    args.x = call.x.data;
    args.x_stride = call.x.stride[0];
    if (needs_amax) args.amax_parts = static_cast<const float*>(call.amax_parts.data);
    flatten(args);
    return prepare_step<QuantizeOp>(context, problem, args, prepared);
}

Status quantize(Context& context, Stream stream, const Quantize& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
