// SPDX-License-Identifier: Apache-2.0
// Weights rounded to nearest, on the host: ww_round_weight.
#include <fmt/format.h>

#include <cmath>

#include "c/arguments.h"
#include "formats/quantise.h"
#include "kernels/host_math.h"
#include "ops/match.h"

using namespace warpwright;
using namespace warpwright::c;

namespace {

using formats::Code;
using formats::QuantizedMatrix;
using formats::Recipe;

Status error(const std::string& text) {
    return caller_error("round_weight: " + text);
}

// A row at a time: each has groups of its own.
Status round_rows(const Recipe& recipe, const Tensor& weight, const Tensor& codes, const Tensor& scales,
                  const Tensor& zeros) {
    const i64 columns = weight.shape[1];
    std::vector<float> row(static_cast<std::size_t>(columns));
    QuantizedMatrix made;
    for (i64 n = 0; n < weight.shape[0]; ++n) {
        for (i64 k = 0; k < columns; ++k) {
            row[k] = load_float(weight.data, weight.dtype, n * weight.stride[0] + k);
            if (!std::isfinite(row[k]))
                return error(fmt::format("weight[{}, {}]: expected a finite number, got {}", n, k, row[k]));
        }
        quantise_rows(recipe, row.data(), 1, columns, 0, made);
        std::copy(made.codes.begin(), made.codes.end(), static_cast<u8*>(codes.data) + n * codes.stride[0]);
        for (i64 g = 0; g < scales.shape[1]; ++g) {
            store_float(scales.data, scales.dtype, n * scales.stride[0] + g, made.scales[g]);
            if (zeros) static_cast<u8*>(zeros.data)[n * zeros.stride[0] + g] = static_cast<u8>(made.zeros[g]);
        }
    }
    return {};
}

Status round_weight(const ww_weight_rounding& c) {
    Arguments arg("round_weight", nullptr);
    const Tensor weight = arg("weight", c.weight), codes = arg("codes", c.codes);
    const Tensor scales = arg("scales", c.scales), zeros = arg("zeros", c.zeros);
    const auto code = arg.choice("code", c.code, Code::u8, "WW_PLAIN_U2 to WW_PLAIN_U8");
    WW_TRY(arg.status());
    const std::initializer_list<DType> numbers = {DType::f32, DType::bf16, DType::f16};
    Matcher match("round_weight");
    match.tensor("weight", weight, {"n", "k"}, numbers)
        .tensor("codes", codes, {"n", "k"}, {DType::u8})
        .tensor("scales", scales, {"n", "groups"}, numbers)
        .tensor("zeros", zeros, {"n", "groups"}, {DType::u8}, {.optional = true})
        .require(c.group_columns >= 0,
                 fmt::format("group_columns must be 0 (all) or more, got {}", c.group_columns))
        .require(match["k"] >= 1, "k must be at least 1, got 0");
    WW_TRY(match.status());
    const i64 k = match["k"], group = c.group_columns == 0 ? k : c.group_columns;
    if (k % group != 0) return error(fmt::format("group_columns: {} does not divide k = {}", group, k));
    if (match["groups"] != k / group)
        return error(fmt::format("scales must be [{}, {}], got [{}, {}]", match["n"], k / group, match["n"],
                                 match["groups"]));
    const Recipe recipe{
        .code = code, .group_columns = group, .symmetric = !zeros, .scale_type = scales.dtype};
    return round_rows(recipe, weight, codes, scales, zeros);
}

}  // namespace

ww_status ww_round_weight(const ww_weight_rounding* call) {
    return guarded([&]() -> Status {
        WW_ASSIGN(const ww_weight_rounding known, read_struct("ww_round_weight", call));
        return round_weight(known);
    });
}
