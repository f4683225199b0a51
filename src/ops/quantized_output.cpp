// SPDX-License-Identifier: Apache-2.0
#include "ops/quantized_output.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

namespace warpwright {
namespace {

bool is_coded(ScaleType scale) {
    return dtype_of(scale) == DType::u8;
}

Status match_shapes(const char* op, const QuantizedOutput& output, const QuantizeProblem& problem) {
    const i64 per_byte = 8 / facts_of(problem.code).bits;
    Matcher match(op);
    match.tensor("codes", output.codes, {"rows", "bytes"}, {DType::u8})
        .tensor("global_scale", output.global_scale, {"1"}, {DType::f32}, {.optional = true})
        .require(!output.global_scale || match["1"] == 1, "global_scale must have one element");
    WW_TRY(match.status());
    if (match["rows"] != problem.rows || match["bytes"] != problem.columns / per_byte) {
        return caller_error(fmt::format("{}: codes must be [{}, {}], got [{}, {}]", op, problem.rows,
                                        problem.columns / per_byte, match["rows"], match["bytes"]));
    }
    return {};
}

Status check_format(const char* op, const QuantizedOutput& output, const QuantizeProblem& problem) {
    const auto error = [&](const std::string& text) { return caller_error(fmt::format("{}: {}", op, text)); };
    const bool has_codes = is_coded(problem.scale);
    if (output.format.group_rows < 0 || output.format.group_columns < 0) {
        return error(fmt::format("a group must be of 1 or more rows and columns, or 0 for all; got {} x {}",
                                 output.format.group_rows, output.format.group_columns));
    }
    if (has_codes && problem.columns % problem.group_columns != 0) {
        return error(
            fmt::format("groups of {} must divide columns, got {}", problem.group_columns, problem.columns));
    }
    if (problem.scale == ScaleType::e4m3 && problem.code != CodeType::e2m1)
        return error("e4m3 scales go with e2m1 codes only");
    if (problem.code == CodeType::e2m1 && (problem.columns % 2 != 0 || problem.group_columns % 2 != 0))
        return error("e2m1 needs an even number of columns in x and in a group");
    if (output.swizzled && (!has_codes || problem.group_rows != 1))
        return error("only coded scales of one row can be swizzled");
    if (output.global_scale && problem.scale != ScaleType::e4m3)
        return error("global_scale goes with e4m3 scales only");
    if (!(output.least_amax >= 0 && std::isfinite(output.least_amax)))
        return error(fmt::format("least_amax must be 0 or more, got {}", output.least_amax));
    const bool is_whole = problem.group_rows >= problem.rows && problem.group_columns >= problem.columns;
    if (output.given_scale && (has_codes || !is_whole))
        return error("a given scale must be fp32 and of the whole tensor");
    return {};
}

Status check_scales(const char* op, const QuantizedOutput& output, const QuantizeProblem& problem) {
    const i64 row_groups = ceil_div(problem.rows, problem.group_rows);
    const i64 column_groups = ceil_div(problem.columns, problem.group_columns);
    const i64 rows = output.swizzled ? round_up(row_groups, kSwizzleRows) : row_groups;
    const i64 columns = output.swizzled ? round_up(column_groups, kSwizzleColumns) : column_groups;
    const Tensor& scales = output.scales;
    if (!scales) return caller_error(fmt::format("{}: scales is null", op));
    const DType dtype = dtype_of(problem.scale);
    if (scales.dtype != dtype) {
        return caller_error(fmt::format("{}: scales must be {} for {} scales, got {}", op, dtype_name(dtype),
                                        scale_type_name(problem.scale), dtype_name(scales.dtype)));
    }
    if (scales.rank != 2 || scales.shape[0] != rows || scales.shape[1] != columns) {
        std::string got;
        for (int i = 0; i < scales.rank; ++i) got += fmt::format("{}{}", i == 0 ? "" : ", ", scales.shape[i]);
        return caller_error(fmt::format("{}: scales must be [{}, {}], got [{}]", op, rows, columns, got));
    }
    if (output.swizzled && (scales.stride[1] != 1 || scales.stride[0] != columns))
        return caller_error(fmt::format("{}: swizzled scales must be dense", op));
    return {};
}

}  // namespace

i64 alignment_of_codes(const QuantizedOutput& output, bool every_stride) {
    const i64 share = 16 / facts_of(output.format.code).bits;
    return std::min<i64>(16, alignment_of({&output.codes}, every_stride) * share);
}

Status match_codes(const char* op, const QuantizedOutput& output, QuantizeProblem& problem) {
    const auto all_or = [](i64 group, i64 all) { return group == 0 || group > all ? all : group; };
    problem.code = output.format.code;
    problem.scale = output.format.scale;
    problem.group_rows = all_or(output.format.group_rows, problem.rows);
    problem.group_columns = all_or(output.format.group_columns, problem.columns);
    problem.given_scale = output.given_scale;
    problem.swizzled = output.swizzled;
    WW_TRY(match_shapes(op, output, problem));
    WW_TRY(check_format(op, output, problem));
    return check_scales(op, output, problem);
}

QuantizeArgs quantize_args(const QuantizedOutput& output, const QuantizeProblem& problem) {
    return {.codes = output.codes.data,
            .scales = output.scales.data,
            .global_scale = static_cast<const float*>(output.global_scale.data),
            .codes_stride = output.codes.stride[0],
            .scale_row_stride = output.scales.stride[0],
            .scale_column_stride = output.scales.stride[1],
            .column_divisor = VectorDivisor(problem.columns / kVectorElements),
            .rows = static_cast<i32>(problem.rows),
            .columns = static_cast<i32>(problem.columns),
            .group_rows = static_cast<i32>(problem.group_rows),
            .group_columns = static_cast<i32>(problem.group_columns),
            .group_shift = std::countr_zero(static_cast<u64>(problem.group_columns)),
            .scale_columns = static_cast<i32>(ceil_div(problem.columns, problem.group_columns)),
            .least_amax = std::abs(output.least_amax),
            .reciprocal_of_max = 1 / facts_of(problem.code).max,
            .code = problem.code,
            .scale = problem.scale,
            .given_scale = output.given_scale,
            .swizzled = output.swizzled};
}

Status match_quantized(const char* op, const QuantizedOutput& output, DType dtype, i64 rows, i64 columns,
                       bool keeps_out, QuantizedFields& fields, QuantizedArgs& args) {
    const auto error = [&](const char* text) { return caller_error(fmt::format("{}: {}", op, text)); };
    if (!output.codes) {
        if (!keeps_out) return error("out and codes are null: nothing is to be computed");
        if (output.scales || output.amax) return error("codes is null, but scales or amax is given");
        return {};
    }
    QuantizeProblem problem{.rows = rows, .columns = columns, .dtype = dtype};
    WW_TRY(match_codes(op, output, problem));
    if (output.given_scale) problem.group_rows = 1;
    if (problem.group_rows != 1) return error("scales must be of one row, or given for the whole tensor");
    Matcher match(op);
    match.tensor("amax", output.amax, {"1"}, {DType::f32}, {.optional = true})
        .require(!output.amax || match["1"] == 1, "amax must have one element");
    WW_TRY(match.status());
    fields = {.quantized = true,
              .code = problem.code,
              .scale = problem.scale,
              .group_columns = problem.group_columns,
              .given_scale = problem.given_scale,
              .swizzled = problem.swizzled,
              .keeps_out = keeps_out};
    args = {.format = quantize_args(output, problem), .amax = static_cast<u32*>(output.amax.data)};
    return {};
}

}  // namespace warpwright
