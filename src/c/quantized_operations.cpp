// SPDX-License-Identifier: Apache-2.0
// Operations on codes and scales.
#include "c/arguments.h"
#include "c/calls.h"
#include "warpwright/ops/amax.h"
#include "warpwright/ops/dequantize.h"
#include "warpwright/ops/quantize.h"
#include "warpwright/ops/quantized_gemm.h"
#include "warpwright/ops/scaled_gemm.h"
#include "warpwright/ops/scaling.h"

using namespace warpwright;
using namespace warpwright::c;

namespace {

Result<Quantize> convert(const ww_quantize& c, const Device& device) {
    Arguments arg("quantize", device);
    const Quantize call{.x = arg("x", c.x),
                        .format = arg.format("format", c.format),
                        .codes = arg("codes", c.codes),
                        .scales = arg("scales", c.scales),
                        .global_scale = arg("global_scale", c.global_scale),
                        .swizzled = c.swizzled != 0,
                        .given_scale = c.given_scale != 0,
                        .amax_parts = arg("amax_parts", c.amax_parts),
                        .least_amax = c.least_amax};
    WW_TRY(arg.status());
    return call;
}

Result<Dequantize> convert(const ww_dequantize& c, const Device& device) {
    Arguments arg("dequantize", device);
    const Dequantize call{.codes = arg("codes", c.codes),
                          .scales = arg("scales", c.scales),
                          .format = arg.format("format", c.format),
                          .out = arg("out", c.out),
                          .global_scale = arg("global_scale", c.global_scale),
                          .swizzled = c.swizzled != 0};
    WW_TRY(arg.status());
    return call;
}

Result<Amax> convert(const ww_amax& c, const Device& device) {
    Arguments arg("amax", device);
    const Amax call{.x = arg("x", c.x), .out = arg("out", c.out)};
    WW_TRY(arg.status());
    return call;
}

Result<Scaling> convert(const ww_scaling& c, const Device& device) {
    Arguments arg("scaling", device);
    const Scaling call{.amax_history = arg("amax_history", c.amax_history),
                       .scale = arg("scale", c.scale),
                       .scale_inv = arg("scale_inv", c.scale_inv),
                       .code = arg.code("code", c.code),
                       .margin = c.margin,
                       .largest_of_all = c.most_recent == 0};
    WW_TRY(arg.status());
    return call;
}

Result<QuantizedGemm> convert(const ww_quantized_gemm& c, const Device& device) {
    Arguments arg("quantized_gemm", device);
    WW_TRY(need(c.b, "quantized_gemm", "a weight b"));
    const QuantizedGemm call{.a = arg("a", c.a),
                             .b = arg.weight("b", c.b),
                             .d = arg("d", c.d),
                             .bias = arg("bias", c.bias),
                             .gate = arg("gate", c.gate),
                             .residual = arg("residual", c.residual),
                             .activation = arg.activation(c.activation),
                             .b_is_constant = c.b_is_constant != 0,
                             .group_of_row = arg("group_of_row", c.group_of_row),
                             .rows_of_group = arg("rows_of_group", c.rows_of_group),
                             .expected_groups = c.expected_groups,
                             .expected_m = c.expected_m,
                             .d_scale = arg("d_scale", c.d_scale),
                             .d_code = arg.code("d_code", c.d_code),
                             .d_amax = arg("d_amax", c.d_amax),
                             .workspace = arg("workspace", c.workspace)};
    WW_TRY(arg.status());
    return call;
}

Result<ScaledGemm> convert(const ww_scaled_gemm& c, const Device& device) {
    Arguments arg("scaled_gemm", device);
    const ScaledGemm call{.a = arg("a", c.a),
                          .b = arg("b", c.b),
                          .a_scales = arg("a_scales", c.a_scales),
                          .b_scales = arg("b_scales", c.b_scales),
                          .a_format = arg.format("a_format", c.a_format),
                          .b_format = arg.format("b_format", c.b_format),
                          .d = arg("d", c.d),
                          .bias = arg("bias", c.bias),
                          .gate = arg("gate", c.gate),
                          .residual = arg("residual", c.residual),
                          .activation = arg.activation(c.activation),
                          .b_is_constant = c.b_is_constant != 0,
                          .a_zeros = arg("a_zeros", c.a_zeros),
                          .b_sums = arg("b_sums", c.b_sums),
                          .group_of_row = arg("group_of_row", c.group_of_row),
                          .rows_of_group = arg("rows_of_group", c.rows_of_group),
                          .expected_m = c.expected_m,
                          .d_scale = arg("d_scale", c.d_scale),
                          .d_code = arg.code("d_code", c.d_code),
                          .d_amax = arg("d_amax", c.d_amax)};
    WW_TRY(arg.status());
    return call;
}

}  // namespace

WW_OPERATION(quantize)
WW_OPERATION(dequantize)
WW_OPERATION(amax)
WW_OPERATION(scaling)
WW_OPERATION(quantized_gemm)
WW_OPERATION(scaled_gemm)
