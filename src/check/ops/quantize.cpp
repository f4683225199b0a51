// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/quantize.h"

#include <cmath>
#include <limits>

#include "check/ops/checks.h"
#include "check/ops/quantized_outputs.h"
#include "kernels/fused/quantize/operation.h"
#include "kernels/fused/quantize/oracle.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

constexpr float kGlobalScale = 0.0013F, kGivenScale = 0.0071F;

// Of a power of two there are products in the middle between two codes.
float global_scale_of(const QuantizeProblem& problem) {
    return problem.rows % 2 == 0 ? 0.0625F : kGlobalScale;
}

struct QuantizeCheck {
    using Op = QuantizeOp;

    static QuantizeProblem problem_of(i64 rows, i64 columns, DType dtype, const QuantizeFormat& format) {
        return {
            .rows = rows,
            .columns = columns,
            .dtype = dtype,
            .code = format.code,
            .scale = format.scale,
            .group_rows = format.group_rows == 0 ? rows : std::min(rows, format.group_rows),
            .group_columns = format.group_columns == 0 ? columns : std::min(columns, format.group_columns)};
    }

    static std::vector<QuantizeProblem> problems() {
        constexpr QuantizeFormat kPerRow[] = {
            kFp8PerToken,
            kInt8PerToken,
            {CodeType::e5m2, ScaleType::f32, 1, 0},
            {CodeType::e4m3, ScaleType::power_of_two, 1, 0},
        };
        constexpr QuantizeFormat kPerGroup[] = {
            kFp8Groups,
            kMxfp8,
            kMxfp4,
            kNvfp4,
            {CodeType::e4m3, ScaleType::power_of_two, 1, 128},
            {CodeType::e5m2, ScaleType::e8m0_up, 1, 32},
            {CodeType::e2m1, ScaleType::e8m0_up, 1, 32},
            {CodeType::e5m2, ScaleType::f32, 1, 256},
            {CodeType::i8, ScaleType::f32, 1, 16},
            {CodeType::i8, ScaleType::f32, 1, 8},
        };
        std::vector<QuantizeProblem> problems;
        const auto add = [&](QuantizeProblem problem, bool swizzled = false, bool given = false) {
            problem.swizzled = swizzled;
            problem.given_scale = given;
            if (given) problem.group_rows = 1;
            problems.push_back(problem);
        };
        const auto add_misaligned = [&](QuantizeProblem problem) {
            problem.alignment_bytes = 2;
            problems.push_back(problem);
        };
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (const QuantizeFormat& format : kPerRow) {
                add(problem_of(9, 1024, dtype, format));
                add_misaligned(problem_of(8, 333, dtype, format));
            }
            for (const QuantizeFormat& format : kPerGroup) {
                add(problem_of(9, 768, dtype, format));
                if (dtype_of(format.scale) == DType::u8) {
                    add(problem_of(131, 160, dtype, format), true);
                    add_misaligned(problem_of(7, 96, dtype, format));
                } else {
                    add_misaligned(problem_of(7, 334, dtype, format));
                }
            }
            for (CodeType code : {CodeType::e4m3, CodeType::e5m2, CodeType::i8}) {
                const QuantizeFormat tensor{code, ScaleType::f32, 0, 0};
                add(problem_of(5, 520, dtype, tensor), false, true);
                QuantizeProblem odd = problem_of(5, 33, dtype, tensor);
                odd.alignment_bytes = 2;
                add(odd, false, true);
                for (QuantizeProblem whole : {problem_of(11, 520, dtype, tensor), odd}) {
                    whole.group_rows = 1;
                    whole.amax_parts = kAmaxParts;
                    add(whole);
                }
                add(problem_of(140, 264, dtype, {code, ScaleType::f32, 128, 128}));
            }
            add(problem_of(3, 8, dtype, {CodeType::e4m3, ScaleType::f32, 1, 8}));  // rows of one vector
            add(problem_of(130, 32, dtype, kMxfp8), true);
            add_misaligned(problem_of(129, 80, dtype, kNvfp4));
            problems.back().swizzled = true;
            add_misaligned(problem_of(140, 200, dtype, kFp8Blocks));
            for (const QuantizeFormat& format : {kNvfp4, kMxfp4}) {
                add(problem_of(10, 1024, dtype, format));
                add(problem_of(12, 160, dtype, format));
            }
            add(problem_of(4, 7168, dtype, kFp8PerToken));
            add(problem_of(3, 16384, dtype, kInt8PerToken));
        }
        return problems;
    }

    // Of every eight groups some hold only zeros, numbers in the middle between two codes, the smallest
    // numbers there are, a NaN, or infinities.
    static void add_specials(const QuantizeProblem& problem, std::vector<float>& values) {
        constexpr float kInfinity = std::numeric_limits<float>::infinity();
        const CodeTypeFacts facts = facts_of(problem.code);
        const i64 groups = ceil_div(problem.columns, problem.group_columns);
        const NearestCode codes(problem.code);
        const int num_codes = 1 << (facts.bits - 1);
        for (i64 i = 0; i < std::ssize(values); ++i) {
            const i64 row = i / problem.columns, column = i % problem.columns;
            const i64 kind = (row / problem.group_rows * groups + column / problem.group_columns) % 8;
            const i64 place = column % problem.group_columns;
            float& value = values[static_cast<std::size_t>(i)];
            if (kind == 1) value = place % 2 != 0 ? -0.0F : 0.0F;
            if (kind == 2) {
                value = facts.max;
                const auto lower = static_cast<int>(place * 37 % (num_codes - 3));
                if (place > 0 && problem.code == CodeType::i8) value = static_cast<float>(lower) + 0.5F;
                if (place > 0 && problem.code != CodeType::i8)
                    value = static_cast<float>((codes.value(lower) + codes.value(lower + 1)) / 2);
                if (place % 3 == 1) value = -value;
            }
            if (kind == 3) value *= problem.dtype == DType::bf16 ? 1e-39F : 2e-7F;
            if (kind == 4 && place == 3) value = std::numeric_limits<float>::quiet_NaN();
            if (kind == 5 && place % 5 == 1) value = place % 2 != 0 ? kInfinity : -kInfinity;
            if (kind == 6) value *= 1e4F;
            if (problem.amax_parts > 0 && !std::isfinite(value)) value = 1;
            value = round_to(problem.dtype, value);
        }
    }

    static std::vector<float> as_float(const std::vector<double>& values) {
        return {values.begin(), values.end()};
    }

    // Codes and scales are equal, not close. fp32 scales lie column by column in every other problem.
    static void run(Workbench& bench, const QuantizeProblem& problem, CheckResult& result) {
        const bool misaligned = problem.alignment_bytes < 16;
        const i64 rows = problem.rows, columns = problem.columns;
        const Tensor x = bench.input(problem.dtype, {rows, columns}, 1, misaligned);
        std::vector<float> values = bench.read(x);
        add_specials(problem, values);
        bench.write(x, values);
        const i64 code_bytes = columns * facts_of(problem.code).bits / 8;
        const i64 row_groups = ceil_div(rows, problem.group_rows);
        const i64 column_groups = ceil_div(columns, problem.group_columns);
        const bool by_column = columns % 3 != 0 && !problem.swizzled;
        Quantize call{.x = x,
                      .format = {problem.code, problem.scale, problem.group_rows, problem.group_columns},
                      .codes = bench.output(DType::u8, {rows, code_bytes}, misaligned),
                      .swizzled = problem.swizzled,
                      .given_scale = problem.given_scale,
                      .least_amax = by_column ? 0.01F : -0.0F};
        if (problem.scale == ScaleType::e4m3) {
            call.global_scale = bench.input(DType::f32, {1});
            bench.write(call.global_scale, {global_scale_of(problem)});
        }
        const DType scale_type = dtype_of(problem.scale);
        QuantizeProblem defined = problem;  // with the group that has one scale
        if (problem.given_scale) {
            call.format.group_rows = call.format.group_columns = 0;
            call.scales = bench.input(DType::f32, {1, 1});
            bench.write(call.scales, {kGivenScale});
        } else if (problem.amax_parts > 0) {
            call.format.group_rows = call.format.group_columns = 0;
            call.scales = bench.output(DType::f32, {1, 1});
            call.amax_parts = bench.output(DType::f32, {problem.amax_parts});
            defined.group_rows = rows;
        } else if (problem.swizzled) {
            call.scales = bench.output(
                scale_type, {round_up(row_groups, kSwizzleRows), round_up(column_groups, kSwizzleColumns)});
        } else if (by_column) {
            call.scales = bench.output(scale_type, {column_groups, row_groups});
            std::swap(call.scales.shape[0], call.scales.shape[1]);
            std::swap(call.scales.stride[0], call.scales.stride[1]);
        } else {
            call.scales = bench.output(scale_type, {row_groups, column_groups});
        }
        const Status status = quantize(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const QuantizeAnswer answer =
            quantize_oracle(defined, values, call.least_amax, global_scale_of(problem),
                            problem.given_scale ? &kGivenScale : nullptr);
        judge(result, bench,
              compare(unpacked_codes(bench.read(call.codes), problem.code), answer.codes,
                      as_float(answer.codes), 0),
              "codes");
        if (problem.given_scale) return;
        std::vector<double> expected = answer.scales;
        if (problem.swizzled) expected = swizzled_scales(expected, row_groups, column_groups);
        std::vector<float> scales = bench.read(call.scales);
        if (by_column && problem.amax_parts == 0) {
            const std::vector<float> stored = scales;
            for (i64 i = 0; i < std::ssize(stored); ++i)
                scales[static_cast<std::size_t>(i % row_groups * column_groups + i / row_groups)] =
                    stored[static_cast<std::size_t>(i)];
        }
        judge(result, bench, compare(scales, expected, as_float(expected), 0), "scales");
    }
};

}  // namespace

const OperationCheck& quantize_check() {
    static const OperationCheckOf<QuantizeCheck> check;
    return check;
}

}  // namespace warpwright
