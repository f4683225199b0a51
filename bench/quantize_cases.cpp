// SPDX-License-Identifier: Apache-2.0
#include "bench/make_cases.h"
#include "kernels/fused/quantize/operation.h"
#include "warpwright/ops/quantize.h"

namespace warpwright::bench {

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
                    call.scales = b.floats({0.01F});
                    call.scales.rank = 2;
                    call.scales.shape = {1, 1};
                    call.scales.stride = {1, 1};
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
