// SPDX-License-Identifier: Apache-2.0
#include "check/ops/quantized_outputs.h"

#include <algorithm>
#include <cmath>

namespace warpwright {
namespace {

constexpr float kGlobalScale = 0.0013F, kGivenScale = 0.0071F;

std::vector<float> as_float(const std::vector<double>& values) {
    return {values.begin(), values.end()};
}

}  // namespace

std::vector<float> unpacked_codes(const std::vector<float>& bytes, CodeType code) {
    if (code != CodeType::e2m1) return bytes;
    std::vector<float> codes;
    for (const float byte : bytes) {
        const int both = static_cast<int>(byte);
        codes.push_back(static_cast<float>(both & 15));
        codes.push_back(static_cast<float>(both >> 4));
    }
    return codes;
}

std::vector<double> swizzled_scales(const std::vector<double>& scales, i64 rows, i64 columns) {
    std::vector<double> bytes(
        static_cast<std::size_t>(round_up(rows, kSwizzleRows) * round_up(columns, kSwizzleColumns)));
    for (i64 row = 0; row < rows; ++row) {
        for (i64 column = 0; column < columns; ++column)
            bytes[static_cast<std::size_t>(swizzled_offset(row, column, columns))] =
                scales[static_cast<std::size_t>(row * columns + column)];
    }
    return bytes;
}

QuantizedOutputCheck::QuantizedOutputCheck(Workbench& bench, const QuantizedFields& fields, i64 rows,
                                           i64 columns, bool misaligned)
    : bench_(bench),
      problem_{.rows = rows,
               .columns = columns,
               .code = fields.code,
               .scale = fields.scale,
               .group_rows = fields.given_scale ? rows : 1,
               .group_columns = std::min(fields.group_columns, columns),
               .given_scale = fields.given_scale,
               .swizzled = fields.swizzled} {
    const i64 groups = ceil_div(columns, problem_.group_columns);
    output_ = {.format = {fields.code, fields.scale, fields.given_scale ? 0 : 1,
                          fields.given_scale ? 0 : problem_.group_columns},
               .codes = bench.output(DType::u8, {rows, columns * facts_of(fields.code).bits / 8}, misaligned),
               .swizzled = fields.swizzled,
               .given_scale = fields.given_scale,
               .least_amax = fields.given_scale ? 0 : 1e-4F};
    if (fields.given_scale) {
        output_.scales = bench.input(DType::f32, {1, 1});
        bench.write(output_.scales, {kGivenScale});
        output_.amax = bench.in_place(DType::f32, {1});
        bench.write(output_.amax, {0});
    } else if (fields.swizzled) {
        output_.scales = bench.output(dtype_of(fields.scale),
                                      {round_up(rows, kSwizzleRows), round_up(groups, kSwizzleColumns)});
    } else {
        output_.scales = bench.output(dtype_of(fields.scale), {rows, groups});
    }
    if (fields.scale == ScaleType::e4m3) {
        output_.global_scale = bench.input(DType::f32, {1});
        bench.write(output_.global_scale, {kGlobalScale});
    }
}

void QuantizedOutputCheck::judge_codes(CheckResult& result, const std::vector<float>& values) const {
    const bool given = problem_.given_scale;
    const QuantizeAnswer answer =
        quantize_oracle(problem_, values, output_.least_amax, kGlobalScale, given ? &kGivenScale : nullptr);
    judge(result, bench_,
          compare(unpacked_codes(bench_.read(output_.codes), problem_.code), answer.codes,
                  as_float(answer.codes), 0),
          "codes");
    if (given) {
        double amax = 0;
        for (const float value : values) {
            if (!(std::abs(value) <= amax) && !std::isnan(amax)) amax = std::abs(value);
        }
        return judge(result, bench_,
                     compare(bench_.read(output_.amax), {amax}, {static_cast<float>(amax)}, 0), "amax");
    }
    const std::vector<double> scales =
        problem_.swizzled ? swizzled_scales(answer.scales, problem_.rows,
                                            ceil_div(problem_.columns, problem_.group_columns))
                          : answer.scales;
    judge(result, bench_, compare(bench_.read(output_.scales), scales, as_float(scales), 0), "scales");
}

std::vector<QuantizedCase> quantized_cases() {
    constexpr i64 kAll = i64{1} << 30;
    constexpr CodeType e4m3 = CodeType::e4m3, e5m2 = CodeType::e5m2, e2m1 = CodeType::e2m1, i8 = CodeType::i8;
    constexpr ScaleType f32 = ScaleType::f32;
    const auto fields = [](CodeType code, ScaleType scale, i64 group_columns, bool swizzled = false) {
        return QuantizedFields{.quantized = true,
                               .code = code,
                               .scale = scale,
                               .group_columns = group_columns,
                               .swizzled = swizzled};
    };
    std::vector<QuantizedCase> cases = {
        {fields(e4m3, f32, kAll), 5, 1024},
        {fields(i8, f32, kAll), 3, 2056},
        {fields(e5m2, ScaleType::power_of_two, kAll), 2, 7168},
        {fields(e4m3, f32, 128), 5, 768},
        {fields(e4m3, ScaleType::power_of_two, 128), 3, 2176},
        {fields(i8, f32, 256), 3, 1024},
        {fields(e4m3, ScaleType::e8m0, 32), 3, 992},
        {fields(e5m2, ScaleType::e8m0_up, 32, true), 130, 160},
        {fields(e2m1, ScaleType::e8m0, 32, true), 3, 4224},
        {fields(e2m1, ScaleType::e4m3, 16), 5, 528},
        {fields(e2m1, ScaleType::e4m3, 16, true), 131, 80},
        {fields(e4m3, f32, 24), 3, 120},  // no part of a warp
        {fields(e4m3, f32, kAll), 3, 333, 2},
        {fields(i8, f32, 128), 3, 334, 2},
        {fields(e2m1, ScaleType::e4m3, 16, true), 5, 96, 2},
    };
    for (const CodeType code : {e4m3, e5m2, i8}) {
        QuantizedCase given{fields(code, f32, kAll), 5, code == i8 ? 4104 : 520};
        given.fields.given_scale = true;
        cases.push_back(given);
        given.columns = 33;
        given.alignment_bytes = 2;
        cases.push_back(given);
    }
    for (std::size_t i = 0; i < cases.size(); ++i) {
        cases[i].fields.group_columns = std::min(cases[i].fields.group_columns, cases[i].columns);
        cases[i].fields.keeps_out = i % 2 == 0;
    }
    return cases;
}

}  // namespace warpwright
