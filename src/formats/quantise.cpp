// SPDX-License-Identifier: Apache-2.0
#include "formats/quantise.h"

#include <algorithm>
#include <cmath>

#include "formats/half.h"

namespace warpwright::formats {
namespace {

std::size_t size(i64 count) {
    return static_cast<std::size_t>(count);
}

// encode() without branches, for finite values.
template <const SmallFloat& kType>
u8 encode_fast(float value) {
    constexpr int kShift = 23 - kType.mantissa_bits;
    constexpr int kLeast = 1 - kType.bias();
    constexpr u32 kRebias = static_cast<u32>(127 + kLeast - 1) << kType.mantissa_bits;
    // Adding this leaves a subnormal's code in the lowest bits, rounded by the addition itself.
    constexpr float kUnits = power_of_two(23 + kLeast - kType.mantissa_bits);
    const u32 bits = std::bit_cast<u32>(value);
    const float magnitude = std::min(std::bit_cast<float>(bits & 0x7fffffffU), kType.max);
    const u32 m = std::bit_cast<u32>(magnitude);
    const u32 normal = ((m + ((1U << (kShift - 1)) - 1) + ((m >> kShift) & 1)) >> kShift) - kRebias;
    const u32 subnormal = std::bit_cast<u32>(magnitude + kUnits) - std::bit_cast<u32>(kUnits);
    const u32 code = magnitude < power_of_two(kLeast) ? subnormal : normal;
    return static_cast<u8>(code | ((bits >> 31) << (kType.bits() - 1)));
}

// To the nearest integer, ties to even, for magnitudes below 2^22.
float nearest(float value) {
    constexpr float kMagic = 12582912;  // 1.5 x 2^23
    return (value + kMagic) - kMagic;
}

template <const SmallFloat& kType>
void encode_floats(const float* values, i64 count, float scale, u8* codes) {
    for (i64 i = 0; i < count; ++i) codes[i] = encode_fast<kType>(values[i] / scale);
}

float rounded(float value, DType type) {
    if (type == DType::f16) return decode_f16(encode_f16(value));
    if (type == DType::f32) return value;
    const u32 bits = std::bit_cast<u32>(value);
    return std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000U);
}

struct Range {
    float low = 0, high = 0;  // both sides of zero, which is always in it
    float magnitude() const { return std::max(-low, high); }
};

// compressed-tensors' replacement for a scale of zero: the type's epsilon.
float unit_of(DType type) {
    return type == DType::bf16 ? 0x1p-7F : type == DType::f16 ? 0x1p-10F : 0x1p-23F;
}

float stored_scale(float scale, DType type) {
    const float kept = rounded(scale, type);
    return kept > 0 ? kept : unit_of(type);
}

class Quantiser {
public:
    Quantiser(const Recipe& recipe, float largest, QuantizedMatrix& out) : recipe_(recipe), out_(out) {
        if (recipe.scale_code == ScaleCode::e4m3) divisor_ = global_divisor(largest);
    }

    void add_scale(const Range& range) {
        const CodeFacts facts = facts_of(recipe_.code);
        if (recipe_.scale_code == ScaleCode::e8m0) {
            const u8 code = mx_scale(range.magnitude());
            push(decode_e8m0(code), code);
        } else if (recipe_.scale_code == ScaleCode::e4m3) {
            const u8 code = encode(kE4M3, divisor_ * (range.magnitude() / kE2M1.max));
            const u8 used = (code & 0x7f) == 0 ? u8{0x20} : code;  // e4m3's epsilon, 0.125
            push(decode(kE4M3, used) / divisor_, used);
        } else if (facts.is_float) {
            push(stored(range.magnitude() / (recipe_.code == Code::e5m2 ? kE5M2.max : kE4M3.max)), 0);
        } else {
            const GroupScale made = integer_scale(recipe_, range.low, range.high);
            push(made.scale, 0);
            if (!recipe_.symmetric) out_.zeros.push_back(static_cast<i16>(made.zero));
        }
    }

private:
    float stored(float scale) const { return stored_scale(scale, recipe_.scale_type); }
    // A power of two by which the largest value fits. compressed-tensors rounds the magnitude to two bits
    // first, for e4m3 too: from 1.75 x 2^n on it counts as the next power, as it would be more than 448 or 6
    // otherwise.
    u8 mx_scale(float magnitude) const {
        if (!(magnitude > 0)) return 0;
        const int exponent = static_cast<int>((std::bit_cast<u32>(magnitude) + (1U << 21)) >> 23);
        return static_cast<u8>(std::max(0, exponent - (recipe_.code == Code::e2m1 ? 2 : 8)));
    }
    void push(float scale, u8 code) {
        out_.scales.push_back(scale);
        if (recipe_.scale_code != ScaleCode::none) out_.scale_codes.push_back(code);
    }

    const Recipe& recipe_;
    QuantizedMatrix& out_;
    float divisor_ = 1;
};

Range range_of(const float* values, i64 count) {
    Range range;
    for (i64 i = 0; i < count; ++i) {
        range.low = std::min(range.low, values[i]);
        range.high = std::max(range.high, values[i]);
    }
    return range;
}

}  // namespace

float largest_magnitude(const float* values, i64 count) {
    // As bits, magnitudes are in the order of integers, NaN above all.
    u32 largest = 0;
    for (i64 i = 0; i < count; ++i) largest = std::max(largest, std::bit_cast<u32>(values[i]) & 0x7fffffffU);
    return std::bit_cast<float>(largest);
}

float global_divisor(float largest) {
    return largest > 0 ? kE4M3.max * kE2M1.max / largest : 1.0F;
}

GroupScale integer_scale(const Recipe& recipe, float low, float high) {
    const CodeFacts facts = facts_of(recipe.code);
    const auto top = static_cast<float>((1 << facts.bits) - 1);
    if (recipe.symmetric) {
        const float scale = stored_scale(std::max(-low, high) / (top / 2), recipe.scale_type);
        return {scale, facts.symmetric_zero};
    }
    const float scale = stored_scale((high - low) / top, recipe.scale_type);
    // Counted from the lowest code, as it is stored; compressed-tensors counts from the middle, and clamps
    // there.
    const auto middle = static_cast<float>(1 << (facts.bits - 1));
    const float zero = std::clamp(nearest(-middle - low / scale), -middle, middle - 1) + middle;
    return {scale, static_cast<int>(zero)};
}

void encode_run(Code code, const float* values, i64 count, float scale, int zero, u8* codes) {
    switch (code) {
        case Code::e4m3: encode_floats<kE4M3>(values, count, scale, codes); return;
        case Code::e5m2: encode_floats<kE5M2>(values, count, scale, codes); return;
        case Code::e2m1: encode_floats<kE2M1>(values, count, scale, codes); return;
        case Code::i8:
            for (i64 i = 0; i < count; ++i) {
                const float level = std::clamp(values[i] / scale, -128.0F, 127.0F);
                codes[i] = static_cast<u8>(static_cast<int>(nearest(level)));
            }
            return;
        default: break;
    }
    const auto offset = static_cast<float>(zero);
    const auto top = static_cast<float>((1 << facts_of(code).bits) - 1);
    for (i64 i = 0; i < count; ++i) {
        const float level = std::clamp(values[i] / scale + offset, 0.0F, top);
        codes[i] = static_cast<u8>(static_cast<int>(nearest(level)));
    }
}

void quantise_rows(const Recipe& recipe, const float* weights, i64 rows, i64 columns, float largest,
                   QuantizedMatrix& out) {
    out.rows = rows;
    out.columns = columns;
    out.code = recipe.code;
    out.group_rows = recipe.group_rows == 0 ? rows : recipe.group_rows;
    out.group_columns = recipe.group_columns == 0 ? columns : recipe.group_columns;
    out.scale_code = recipe.scale_code;
    out.global_scale = recipe.scale_code == ScaleCode::e4m3 ? 1 / global_divisor(largest) : 1;
    out.scales.clear();
    out.scale_codes.clear();
    out.zeros.clear();
    out.codes.resize(size(rows * columns));
    Quantiser scales(recipe, largest, out);
    const i64 groups = out.column_groups();
    const int symmetric = facts_of(recipe.code).symmetric_zero;
    for (i64 row = 0; row < rows; row += out.group_rows) {
        const i64 last = std::min(row + out.group_rows, rows);
        for (i64 group = 0; group < groups; ++group) {
            const i64 begin = group * out.group_columns;
            const i64 count = std::min(out.group_columns, columns - begin);
            Range range{-largest, largest};
            if (recipe.group_rows != 0) {
                range = {};
                for (i64 r = row; r < last; ++r) {
                    const Range of_row = range_of(weights + r * columns + begin, count);
                    range = {std::min(range.low, of_row.low), std::max(range.high, of_row.high)};
                }
            }
            scales.add_scale(range);
            const int zero = out.zeros.empty() ? symmetric : out.zeros.back();
            for (i64 r = row; r < last; ++r) {
                encode_run(recipe.code, weights + r * columns + begin, count, out.scales.back(), zero,
                           &out.codes[size(r * columns + begin)]);
            }
        }
    }
}

}  // namespace warpwright::formats
