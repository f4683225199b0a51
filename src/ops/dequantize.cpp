// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/dequantize.h"

#include <fmt/format.h>

#include <algorithm>

#include "dispatch/prepare.h"
#include "kernels/fused/dequantize/operation.h"
#include "ops/match.h"
#include "ops/quantized_output.h"

namespace warpwright {

Status prepare(Context& context, const Dequantize& call, Prepared& prepared) {
    Matcher match("dequantize");
    match.tensor("out", call.out, {"rows", "columns"}, {DType::bf16, DType::f16, DType::f32});
    WW_TRY(match.status());
    const i64 rows = match["rows"], columns = match["columns"];
    if (rows == 0 || columns == 0) return {};

    // Codes and scales are those of a quantised output.
    const QuantizedOutput source{.format = call.format,
                                 .codes = call.codes,
                                 .scales = call.scales,
                                 .global_scale = call.global_scale,
                                 .swizzled = call.swizzled};
    QuantizeProblem format{.rows = rows, .columns = columns};
    WW_TRY(match_codes("dequantize", source, format));
    constexpr i64 kMost = i64{1} << 30, kMostColumns = i64{1} << 23;
    if (rows * ceil_div(columns, kVectorElements) > kMost || columns > kMostColumns) {
        return caller_error(fmt::format(
            "dequantize: out is [{}, {}], at most 2^33 elements in rows of 2^23 can be made", rows, columns));
    }
    const DequantizeProblem problem{
        .rows = rows,
        .columns = columns,
        .out = call.out.dtype,
        .code = format.code,
        .scale = format.scale,
        .group_rows = format.group_rows,
        .group_columns = format.group_columns,
        .swizzled = call.swizzled,
        .alignment_bytes = std::min(alignment_of({&call.out}, prepared.batch_invariant),
                                    alignment_of_codes(source, prepared.batch_invariant))};
    const DequantizeArgs args{.codes = call.codes.data,
                              .scales = call.scales.data,
                              .global_scale = static_cast<const float*>(call.global_scale.data),
                              .out = call.out.data,
                              .codes_stride = call.codes.stride[0],
                              .out_stride = call.out.stride[0],
                              .scale_row_stride = call.scales.stride[0],
                              .scale_column_stride = call.scales.stride[1],
                              .column_divisor = VectorDivisor(columns / kVectorElements),
                              .group_row_divisor = VectorDivisor(format.group_rows),
                              .group_column_divisor = VectorDivisor(format.group_columns),
                              .rows = static_cast<i32>(rows),
                              .columns = static_cast<i32>(columns),
                              .group_rows = static_cast<i32>(format.group_rows),
                              .group_columns = static_cast<i32>(format.group_columns),
                              .scale_columns = static_cast<i32>(ceil_div(columns, format.group_columns)),
                              .code = format.code,
                              .scale = format.scale,
                              .swizzled = call.swizzled};
    return prepare_step<DequantizeOp>(context, problem, args, prepared);
}

Status dequantize(Context& context, Stream stream, const Dequantize& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
