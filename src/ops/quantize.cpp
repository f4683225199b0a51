// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "dispatch/prepare.h"
#include "kernels/fused/quantize/operation.h"
#include "ops/match.h"
#include "warpwright/ops/amax.h"

namespace warpwright {
namespace {

// Per vector of 8 elements codes take half as many bytes as x, or a quarter.
i64 alignment_of_call(const Quantize& call, bool every_stride) {
    const i64 share = 16 / facts_of(call.format.code).bits;
    const i64 codes = alignment_of({&call.codes}, every_stride) * share;
    return std::min<i64>({16, alignment_of({&call.x}, every_stride), codes});
}

bool is_coded(ScaleType scale) {
    return dtype_of(scale) == DType::u8;
}

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

Status check_scales(const Quantize& call, const QuantizeProblem& problem) {
    const i64 row_groups = ceil_div(problem.rows, problem.group_rows);
    const i64 column_groups = ceil_div(problem.columns, problem.group_columns);
    const i64 rows = call.swizzled ? round_up(row_groups, kSwizzleRows) : row_groups;
    const i64 columns = call.swizzled ? round_up(column_groups, kSwizzleColumns) : column_groups;
    const Tensor& scales = call.scales;
    if (!scales) return caller_error("quantize: scales is null");
    const DType dtype = dtype_of(problem.scale);
    if (scales.dtype != dtype) {
        return caller_error(fmt::format("quantize: scales must be {} for {} scales, got {}",
                                        dtype_name(dtype), scale_type_name(problem.scale),
                                        dtype_name(scales.dtype)));
    }
    if (scales.rank != 2 || scales.shape[0] != rows || scales.shape[1] != columns) {
        std::string got;
        for (int i = 0; i < scales.rank; ++i) got += fmt::format("{}{}", i == 0 ? "" : ", ", scales.shape[i]);
        return caller_error(fmt::format("quantize: scales must be [{}, {}], got [{}]", rows, columns, got));
    }
    if (call.swizzled && (scales.stride[1] != 1 || scales.stride[0] != columns))
        return caller_error("quantize: swizzled scales must be dense");
    return {};
}

Status check_format(const Quantize& call, const QuantizeProblem& problem) {
    const bool has_codes = is_coded(problem.scale);
    if (call.format.group_rows < 0 || call.format.group_columns < 0) {
        return caller_error(
            fmt::format("quantize: a group must be of 1 or more rows and columns, or 0 for all; "
                        "got {} x {}",
                        call.format.group_rows, call.format.group_columns));
    }
    if (has_codes && problem.columns % problem.group_columns != 0) {
        return caller_error(fmt::format("quantize: groups of {} must divide columns, got {}",
                                        problem.group_columns, problem.columns));
    }
    if (problem.scale == ScaleType::e4m3 && problem.code != CodeType::e2m1)
        return caller_error("quantize: e4m3 scales go with e2m1 codes only");
    if (problem.code == CodeType::e2m1 && (problem.columns % 2 != 0 || problem.group_columns % 2 != 0))
        return caller_error("quantize: e2m1 needs an even number of columns in x and in a group");
    if (call.swizzled && (!has_codes || problem.group_rows != 1))
        return caller_error("quantize: only coded scales of one row can be swizzled");
    if (call.global_scale && problem.scale != ScaleType::e4m3)
        return caller_error("quantize: global_scale goes with e4m3 scales only");
    if (!(call.least_amax >= 0 && std::isfinite(call.least_amax)))
        return caller_error(fmt::format("quantize: least_amax must be 0 or more, got {}", call.least_amax));
    const bool is_whole = problem.group_rows >= problem.rows && problem.group_columns >= problem.columns;
    if (call.given_scale && (has_codes || !is_whole))
        return caller_error("quantize: a given scale must be fp32 and of the whole tensor");
    return {};
}

}  // namespace

Status prepare(Context& context, const Quantize& call, Prepared& prepared) {
    Matcher match("quantize");
    match.tensor("x", call.x, {"rows", "columns"}, {DType::bf16, DType::f16});
    if (facts_of(call.format.code).bits == 8) {
        match.tensor("codes", call.codes, {"rows", "columns"}, {DType::u8});
    } else {
        match.tensor("codes", call.codes, {"rows", "columns / 2"}, {DType::u8});
        match.require(match["columns / 2"] == match["columns"] / 2,
                      fmt::format("codes: dimension 1 is {}, but x has {} columns, two to a byte",
                                  match["columns / 2"], match["columns"]));
    }
    match.tensor("global_scale", call.global_scale, {"1"}, {DType::f32}, {.optional = true});
    match.require(!call.global_scale || match["1"] == 1, "global_scale must have one element");
    WW_TRY(match.status());
    const i64 rows = match["rows"], columns = match["columns"];
    if (rows == 0 || columns == 0) return {};

    const auto all_or = [](i64 group, i64 all) { return group == 0 || group > all ? all : group; };
    QuantizeProblem problem{.rows = rows,
                            .columns = columns,
                            .dtype = call.x.dtype,
                            .code = call.format.code,
                            .scale = call.format.scale,
                            .group_rows = all_or(call.format.group_rows, rows),
                            .group_columns = all_or(call.format.group_columns, columns),
                            .given_scale = call.given_scale,
                            .swizzled = call.swizzled,
                            .alignment_bytes = alignment_of_call(call, prepared.batch_invariant)};
    WW_TRY(check_format(call, problem));
    WW_TRY(check_scales(call, problem));
    constexpr i64 kMost = i64{1} << 30;
    if (round_up(rows, kSwizzleRows) * ceil_div(columns, kVectorElements) > kMost || columns > kMost) {
        return caller_error(
            fmt::format("quantize: x is [{}, {}], at most 2^33 elements can be quantised", rows, columns));
    }
    const bool needs_amax =
        call.format.group_rows == 0 && call.format.group_columns == 0 && !call.given_scale;
    if (needs_amax) {
        match.tensor("amax_parts", call.amax_parts, {"parts"}, {DType::f32})
            .require(!is_coded(problem.scale), "coded scales are of groups, not of the whole tensor");
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
    QuantizeArgs args{.x = call.x.data,
                      .codes = call.codes.data,
                      .scales = call.scales.data,
                      .global_scale = static_cast<const float*>(call.global_scale.data),
                      .amax_parts = needs_amax ? static_cast<const float*>(call.amax_parts.data) : nullptr,

                      .x_stride = call.x.stride[0],
                      .codes_stride = call.codes.stride[0],
                      .scale_row_stride = call.scales.stride[0],
                      .scale_column_stride = call.scales.stride[1],
                      .column_divisor = VectorDivisor(columns / kVectorElements),
                      .rows = static_cast<i32>(rows),
                      .columns = static_cast<i32>(columns),
                      .group_rows = static_cast<i32>(problem.group_rows),
                      .group_columns = static_cast<i32>(problem.group_columns),
                      .group_shift = std::countr_zero(static_cast<u64>(problem.group_columns)),
                      .scale_columns = static_cast<i32>(ceil_div(columns, problem.group_columns)),
                      .least_amax = call.least_amax,
                      .reciprocal_of_max = 1 / facts_of(problem.code).max,
                      .code = problem.code,
                      .scale = problem.scale,
                      .given_scale = call.given_scale,
                      .swizzled = call.swizzled};
    flatten(args);
    return prepare_step<QuantizeOp>(context, problem, args, prepared);
}

Status quantize(Context& context, Stream stream, const Quantize& call) {
    return run_now(context, stream, call);
}

}  // namespace warpwright
