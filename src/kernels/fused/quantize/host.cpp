// SPDX-License-Identifier: Apache-2.0
// Quantisation on the host, with the codecs of checkpoints. A task is some groups.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>

#include "device/host_threads.h"
#include "formats/codecs.h"
#include "kernels/fused/quantize/exponent.h"
#include "kernels/fused/quantize/host.h"
#include "kernels/fused/quantize/operation.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kLargest = std::numeric_limits<float>::max();

struct GroupScale {
    u32 stored = 0;  // fp32's bits, or a byte
    float multiplier = 0;
};

float positive_reciprocal(float scale) {
    return scale > 0 && scale <= kLargest ? 1 / scale : kNan;
}

u8 encode(CodeType code, float value) {
    switch (code) {
        case CodeType::e4m3: return std::isnan(value) ? 0x7f : formats::encode(formats::kE4M3, value);
        case CodeType::e5m2: return std::isnan(value) ? 0x7f : formats::encode(formats::kE5M2, value);
        case CodeType::e2m1: return formats::encode(formats::kE2M1, value);
        case CodeType::i8:
            if (std::isnan(value)) return 0;
            return static_cast<u8>(std::lrintf(std::clamp(value, -127.0F, 127.0F)));
    }
    return 0;
}

u8 exponent_of(CodeType code, float amax, bool up) {
    return static_cast<u8>(std::max(scale_exponent(facts_of(code), std::bit_cast<u32>(amax), up), 0));
}

GroupScale scale_of(const QuantizeArgs& args, float amax, float global_reciprocal) {
    const bool is_nan = std::isnan(amax);
    amax = std::max(std::min(amax, kLargest), args.least_amax);
    const float max = facts_of(args.code).max;
    switch (args.scale) {
        case ScaleType::e4m3: {
            const float wanted = is_nan ? kNan : amax / max * global_reciprocal;
            if (std::isnan(wanted)) return {0x7f, kNan};
            const u8 code = formats::encode(formats::kE4M3, wanted);
            return {code, code == 0 ? 0 : global_reciprocal / formats::decode(formats::kE4M3, code)};
        }
        case ScaleType::e8m0:
        case ScaleType::e8m0_up: {
            if (is_nan) return {0xff, kNan};
            const u8 code = exponent_of(args.code, amax, args.scale == ScaleType::e8m0_up);
            return {code, 1 / formats::decode_e8m0(code)};
        }
        case ScaleType::power_of_two: {
            float scale = formats::decode_e8m0(std::max<u8>(exponent_of(args.code, amax, true), 1));
            if (amax == 0) scale = 1;
            if (is_nan) scale = kNan;
            return {std::bit_cast<u32>(scale), 1 / scale};
        }
        case ScaleType::f32: {
            float scale = std::max(amax / max, std::numeric_limits<float>::min());
            if (amax == 0) scale = 1;
            if (is_nan) scale = kNan;
            return {std::bit_cast<u32>(scale), 1 / scale};
        }
    }
    return {};
}

void store_scale(const QuantizeArgs& args, i64 row, i64 column, u32 stored) {
    const i64 at = args.swizzled ? swizzled_offset(row, column, args.scale_columns)
                                 : row * args.scale_row_stride + column * args.scale_column_stride;
    if (dtype_of(args.scale) == DType::u8) {
        static_cast<u8*>(args.scales)[at] = static_cast<u8>(stored);
    } else {
        static_cast<float*>(args.scales)[at] = std::bit_cast<float>(stored);
    }
}

template <class T>
void quantize_group(const QuantizeArgs& args, i64 group_row, i64 group_column, float global_reciprocal,
                    const float* tensor_multiplier) {
    const i64 first_row = group_row * args.group_rows, first_column = group_column * args.group_columns;
    const i64 last_row = std::min<i64>(first_row + args.group_rows, args.rows);
    const i64 last_column = std::min<i64>(first_column + args.group_columns, args.columns);
    const auto each = [&](const auto& f) {
        for (i64 row = first_row; row < last_row; ++row) {
            for (i64 column = first_column; column < last_column; ++column)
                f(row, column, T::load(args.x, row * args.x_stride + column));
        }
    };
    float multiplier = 0;
    if (tensor_multiplier != nullptr) {
        multiplier = *tensor_multiplier;
    } else {
        float amax = 0;
        each([&](i64, i64, float value) {
            if (std::isnan(value) || std::abs(value) > amax) amax = std::abs(value);
        });
        bool has_nan = false;
        each([&](i64, i64, float value) { has_nan = has_nan || std::isnan(value); });
        const GroupScale scale = scale_of(args, has_nan ? kNan : amax, global_reciprocal);
        store_scale(args, group_row, group_column, scale.stored);
        multiplier = scale.multiplier;
    }
    auto* codes = static_cast<u8*>(args.codes);
    each([&](i64 row, i64 column, float value) {
        const u8 code = encode(args.code, value * multiplier);
        u8* to = codes + row * args.codes_stride;
        if (args.code != CodeType::e2m1) {
            to[column] = code;
        } else if (column % 2 == 0) {
            to[column / 2] = code;
        } else {
            to[column / 2] = static_cast<u8>(to[column / 2] | code << 4);
        }
    });
}

template <class T>
void quantize_rows(const void* raw, HostThreads& threads) {
    const QuantizeArgs& args = *static_cast<const QuantizeArgs*>(raw);
    const i64 groups = args.scale_columns;
    const i64 group_rows = ceil_div(args.rows, args.group_rows);
    const float global_reciprocal =
        args.global_scale != nullptr ? positive_reciprocal(*args.global_scale) : 1;
    float multiplier = 0;
    const float* tensor_multiplier = args.given_scale || args.amax_parts != nullptr ? &multiplier : nullptr;
    if (args.given_scale) {
        multiplier = positive_reciprocal(*static_cast<const float*>(args.scales));
    } else if (args.amax_parts != nullptr) {
        float amax = 0;
        for (int i = 0; i < kAmaxParts; ++i) {
            const float part = args.amax_parts[i];
            if (!std::isnan(amax) && (part > amax || std::isnan(part))) amax = part;
        }
        const GroupScale scale = scale_of(args, amax, 1);
        store_scale(args, 0, 0, scale.stored);
        multiplier = scale.multiplier;
    }
    threads.parallel_for(group_rows * groups, 1, [&](i64 begin, i64 end) {
        for (i64 group = begin; group < end; ++group)
            quantize_group<T>(args, group / groups, group % groups, global_reciprocal, tensor_multiplier);
    });
    store_host_padding(args);
}

template <class T>
void quantize_row(const QuantizedArgs& out, i64 row, const void* result) {
    QuantizeArgs args = out.format;
    args.x = result;  // every row's place in it is the same
    args.x_stride = 0;
    const float global_reciprocal =
        args.global_scale != nullptr ? positive_reciprocal(*args.global_scale) : 1;
    const float given = args.given_scale ? positive_reciprocal(*static_cast<const float*>(args.scales)) : 0;
    for (i64 group = 0; group < args.scale_columns; ++group)
        quantize_group<T>(args, row, group, global_reciprocal, args.given_scale ? &given : nullptr);
    if (out.amax == nullptr) return;
    u32 magnitude = 0;  // NaN's bits are above all numbers'
    for (i64 column = 0; column < args.columns; ++column)
        magnitude = std::max(magnitude, std::bit_cast<u32>(std::abs(T::load(result, column))));
    const std::atomic_ref<u32> amax(*out.amax);
    for (u32 known = amax; magnitude > known && !amax.compare_exchange_weak(known, magnitude);) {
    }
}

}  // namespace

void quantize_host_row(const QuantizedArgs& out, DType dtype, i64 row, const void* result) {
    dtype == DType::bf16 ? quantize_row<HostBf16>(out, row, result)
                         : quantize_row<HostHalf>(out, row, result);
}

void store_host_padding(const QuantizeArgs& args) {
    if (!args.swizzled) return;
    const i64 groups = args.scale_columns;
    for (i64 row = 0; row < round_up(args.rows, kSwizzleRows); ++row) {
        for (i64 column = row < args.rows ? groups : 0; column < round_up(groups, kSwizzleColumns); ++column)
            store_scale(args, row, column, 0);
    }
}

HostFunction QuantizeOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? quantize_rows<HostBf16> : quantize_rows<HostHalf>;
}

}  // namespace warpwright
