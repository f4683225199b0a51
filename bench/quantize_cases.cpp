// SPDX-License-Identifier: Apache-2.0
#include "bench/make_cases.h"
#include "kernels/fused/quantize/operation.h"
#include "kernels/fused/quantize/outputs.h"
#include "warpwright/ops/dequantize.h"
#include "warpwright/ops/gated_activation.h"
#include "warpwright/ops/quantize.h"
#include "warpwright/ops/rmsnorm.h"

namespace warpwright::bench {
namespace {

// Codes without the 16 bits that they are made of, each row by itself or with one given scale.
FieldTexts quantized_fields(FieldTexts set, const QuantizeFormat& format, i64 columns) {
    const i64 group_columns = format.group_columns == 0 ? columns : format.group_columns;
    for (const auto& field : fields({{"quantized", 1},
                                     {"keeps_out", 0},
                                     {"group_columns", group_columns},
                                     {"given_scale", format.group_rows == 0}}))
        set.push_back(field);
    set.emplace_back("code", enum_text(format.code));
    set.emplace_back("scale", enum_text(format.scale));
    return set;
}

double quantized_bytes(const QuantizeFormat& format, i64 rows, i64 columns) {
    const i64 groups = format.group_columns == 0 ? 1 : columns / format.group_columns;
    return static_cast<double>(rows) *
           (columns * facts_of(format.code).bits / 8 + groups * dtype_bytes(dtype_of(format.scale)));
}

// Any bytes: those of random numbers. `columns` is even.
Tensor bytes(Buffers& b, i64 rows, i64 columns) {
    return Tensor::dense(b.random(kType, {rows, columns / 2}).data, DType::u8, {rows, columns});
}

// A given scale of a whole tensor.
Tensor scalar(Buffers& b) {
    Tensor scale = b.floats({0.01F});
    scale.rank = 2;
    scale.shape = {1, 1};
    scale.stride = {1, 1};
    return scale;
}

QuantizedOutput quantized_output(Buffers& b, const QuantizeFormat& format, i64 rows, i64 columns) {
    const bool given = format.group_rows == 0;
    const i64 groups = format.group_columns == 0 ? 1 : columns / format.group_columns;
    QuantizedOutput output{.format = format,
                           .codes = b.zeros(DType::u8, {rows, columns * facts_of(format.code).bits / 8}),
                           .scales = b.zeros(dtype_of(format.scale), {rows, groups}),
                           .given_scale = given};
    if (given) output.scales = scalar(b);
    if (format.scale == ScaleType::e4m3) output.global_scale = b.floats({0.002F});
    return output;
}

}  // namespace

Case dequantize_case(i64 rows, i64 columns, const char* name, const QuantizeFormat& format, DType out) {
    const i64 group_rows = format.group_rows == 0 ? rows : format.group_rows;
    const i64 group_columns = format.group_columns == 0 ? columns : format.group_columns;
    const i64 scale_rows = ceil_div(rows, group_rows), scale_columns = ceil_div(columns, group_columns);
    const DType scale_type = dtype_of(format.scale);
    const i64 code_columns = columns * facts_of(format.code).bits / 8;
    FieldTexts set = fields(
        {{"rows", rows}, {"columns", columns}, {"group_rows", group_rows}, {"group_columns", group_columns}});
    set.emplace_back("out", dtype_name(out));
    set.emplace_back("code", enum_text(format.code));
    set.emplace_back("scale", enum_text(format.scale));
    const i64 num_bytes = rows * (code_columns + columns * dtype_bytes(out)) +
                          scale_rows * scale_columns * dtype_bytes(scale_type);
    return {"dequantize",
            fmt::format("rows={} columns={} {} to {}", rows, columns, name, dtype_name(out)),
            set,
            static_cast<double>(num_bytes),
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const Dequantize call{.codes = bytes(b, rows, code_columns),
                                      .scales = scale_type == DType::u8
                                                    ? bytes(b, scale_rows, scale_columns)
                                                    : b.random(scale_type, {scale_rows, scale_columns}),
                                      .format = format,
                                      .out = b.zeros(out, {rows, columns})};
                return preparer(context, call);
            },
            "dequantisers",
            "",
            Roof::copy};
}

Case quantized_norm_case(i64 tokens, i64 hidden, const char* name, const QuantizeFormat& format) {
    return {
        "rmsnorm",
        fmt::format("tokens={} hidden={} residual bf16 to {}", tokens, hidden, name),
        quantized_fields(fields({{"tokens", tokens}, {"hidden", hidden}, {"residual", 1}}), format, hidden),
        6.0 * tokens * hidden + quantized_bytes(format, tokens, hidden),
        0,
        [=](Context& context, Buffers& b) -> Result<Preparer> {
            const RmsNorm call{.x = b.random(kType, {tokens, hidden}),
                               .weight = b.random(kType, {hidden}),
                               .residual = b.random(kType, {tokens, hidden}),
                               .quantized = quantized_output(b, format, tokens, hidden)};
            return preparer(context, call);
        },
        "rmsnorm, quantised",
        "",
        Roof::copy};
}

Case quantized_activation_case(i64 tokens, i64 width, const char* name, const QuantizeFormat& format) {
    return {"gated_activation",
            fmt::format("tokens={} width={} silu bf16 to {}", tokens, width, name),
            quantized_fields(fields({{"tokens", tokens}, {"width", width}}), format, width),
            4.0 * tokens * width + quantized_bytes(format, tokens, width),
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                const Tensor both = b.random(kType, {tokens, 2 * width});
                Tensor gate = both, up = both;
                gate.shape[1] = up.shape[1] = width;
                up.data = static_cast<std::byte*>(up.data) + width * dtype_bytes(kType);
                const GatedActivation call{
                    .gate = gate, .up = up, .quantized = quantized_output(b, format, tokens, width)};
                return preparer(context, call);
            },
            "activation, quantised",
            "",
            Roof::copy};
}

// x is read once, or for one scale of all that is not given twice; codes and scales are written once.
Case quantize_case(i64 rows, i64 columns, const char* name, const QuantizeFormat& format, bool swizzled,
                   bool given) {
    const bool whole = format.group_columns == 0 && format.group_rows == 0;
    const i64 group_rows = format.group_rows == 0 ? rows : format.group_rows;
    const i64 group_columns = format.group_columns == 0 ? columns : format.group_columns;
    i64 scale_rows = ceil_div(rows, group_rows), scale_columns = ceil_div(columns, group_columns);
    if (swizzled) {
        scale_rows = round_up(scale_rows, kSwizzleRows);
        scale_columns = round_up(scale_columns, kSwizzleColumns);
    }
    const DType scale_type = dtype_of(format.scale);
    const i64 code_columns = columns * facts_of(format.code).bits / 8;
    FieldTexts set = fields({{"rows", rows},
                             {"columns", columns},
                             {"group_rows", whole ? 1 : group_rows},
                             {"group_columns", group_columns},
                             {"given_scale", given},
                             {"amax_parts", whole && !given ? kAmaxParts : 0},
                             {"swizzled", swizzled}});
    set.emplace_back("code", enum_text(format.code));
    set.emplace_back("scale", enum_text(format.scale));
    const i64 bytes = rows * ((whole && !given ? 4 : 2) * columns + code_columns) +
                      scale_rows * scale_columns * dtype_bytes(scale_type);
    return {"quantize",
            fmt::format("rows={} columns={} {} from bf16", rows, columns, name),
            set,
            static_cast<double>(bytes),
            0,
            [=](Context& context, Buffers& b) -> Result<Preparer> {
                Quantize call{.x = b.random(kType, {rows, columns}),
                              .format = format,
                              .codes = b.zeros(DType::u8, {rows, code_columns}),
                              .swizzled = swizzled,
                              .given_scale = given};
                if (given) {
                    call.scales = scalar(b);
                } else {
                    call.scales = b.zeros(scale_type, {scale_rows, scale_columns});
                }
                if (whole && !given) call.amax_parts = b.zeros(DType::f32, {kAmaxParts});
                if (format.scale == ScaleType::e4m3) call.global_scale = b.floats({0.002F});
                return preparer(context, call);
            },
            "quantisers",
            "",
            Roof::copy};
}

}  // namespace warpwright::bench
