// SPDX-License-Identifier: Apache-2.0
// Codes and scales that another operation makes of its result (warpwright/ops/quantized_output.h): fields of
// its problem, arguments of its kernel, and what a row of it can do.
#pragma once

#include "kernels/fused/quantize/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct QuantizedFields {
    bool quantized = false;
    CodeType code = CodeType::e4m3;
    ScaleType scale = ScaleType::f32;
    i64 group_columns = 128;
    bool given_scale = false;
    bool swizzled = false;
    bool keeps_out = true;  // the 16-bit result is stored, too

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("quantized", self.quantized);
        v("code", self.code);
        v("scale", self.scale);
        v("group_columns", self.group_columns);
        v("given_scale", self.given_scale);
        v("swizzled", self.swizzled);
        v("keeps_out", self.keeps_out);
    }
};

struct QuantizedArgs {
    QuantizeArgs format;  // x is null; its codes are null where there is no quantised output
    u32* amax;            // fp32's bits, raised to the largest magnitude of the result; or null
};

// What stops a row with vectors of eight columns from making codes of `columns`. `block_columns`: what a
// block has in registers at a time.
constexpr Rejection quantized_misfit(const QuantizedFields& fields, i64 columns, i64 block_columns) {
    const i64 group = fields.group_columns;
    if (fields.given_scale) return accepted();
    if (group >= columns) {
        if (columns > block_columns) return {"group_columns", block_columns, columns, "at_most"};
        return accepted();
    }
    if (group > 256) return {"group_columns", 256, group, "at_most"};
    if (group < 2 * kVectorElements) return {"group_columns", 2 * kVectorElements, group, "at_least"};
    if (!is_power_of_two(group)) return {"group_columns", 0, group, "power_of_two"};
    if (columns % group != 0) return {"columns", group, columns, "multiple"};
    return accepted();
}

// For the rows of any operation that have a form with `cvt` to fp8 in place of integer arithmetic.
template <class Row>
constexpr bool fp8_convert_fits(const Row& row, BuildTarget target) {
    return !row.fp8_convert || facts_of(target).first_capability >= kFp8Capability;
}
template <class Row>
constexpr Rejection fp8_convert_misfit(const Row& row, const TargetFacts& target) {
    if (fp8_convert_fits(row, target.build_target)) return accepted();
    return {"fp8_convert", kFp8Capability, target.compute_capability, "sm_from"};
}

// Whether a row makes these codes with `cvt`.
constexpr bool converts(CodeType code, bool fp8_convert) {
    return fp8_convert && (code == CodeType::e4m3 || code == CodeType::e5m2);
}
// Operations of an element: unpacking, magnitude and product, and the conversion.
constexpr double quantize_flops(CodeType code, bool fp8_convert) {
    return 8 + (converts(code, fp8_convert) ? 4 : 20);
}

// Rows that results are computed for: with swizzled scales those that fill up the last 128, too.
constexpr i64 quantized_rows(const QuantizedFields& fields, i64 rows) {
    return fields.quantized && fields.swizzled ? round_up(rows, kSwizzleRows) : rows;
}

// Bytes of a row's codes and of 16 bits if they are kept. Scales are too few to count.
constexpr double stored_bytes(const QuantizedFields& fields, double columns) {
    if (!fields.quantized) return 2 * columns;
    return columns * (facts_of(fields.code).bits / 8.0 + (fields.keeps_out ? 2 : 0));
}

}  // namespace warpwright
