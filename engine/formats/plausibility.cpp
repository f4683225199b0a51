// SPDX-License-Identifier: Apache-2.0
#include "engine/formats/plausibility.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace warpwright {
namespace {

using formats::QuantizedMatrix;
using formats::StoredWeight;

constexpr i64 kSampleRows = 32;
constexpr i64 kMinSample = 1024;
// No weight of a language model is this large, nor a whole layer of them this small.
constexpr float kHugeWeight = 4096;
constexpr float kTinyWeight = 1e-6F;

// Mean of code - zero point: zero, but for sampling, for weights around zero.
double mean_level(const QuantizedMatrix& matrix) {
    double sum = 0;
    const i64 groups = matrix.column_groups();
    for (i64 row = 0; row < matrix.rows; ++row) {
        for (i64 column = 0; column < matrix.columns; ++column) {
            const auto group = static_cast<std::size_t>(row * groups + matrix.group_of(column));
            sum +=
                matrix.codes[static_cast<std::size_t>(row * matrix.columns + column)] - matrix.zeros[group];
        }
    }
    return sum / static_cast<double>(matrix.rows * matrix.columns);
}

Status check_gptq(const StoredWeight& weight, const LayerFormat& format) {
    WW_ASSIGN(const QuantizedMatrix matrix, read_rows(weight, 0, std::min(weight.rows, kSampleRows)));
    // What the zero points would be off by, and what the other convention would make of them: v1 adds one, v2
    // none.
    double off = 0;
    const int top = (1 << facts_of(weight.code).bits) - 1;
    if (format.symmetric) {
        const int middle = facts_of(weight.code).symmetric_zero;
        const int first = matrix.zeros.front();
        if (std::any_of(matrix.zeros.begin(), matrix.zeros.end(), [&](i16 zero) { return zero != first; }))
            return {};
        off = first - middle;
    } else {
        // A zero point at the end of the range would wrap into the other one under the other convention.
        if (matrix.rows * matrix.columns < kMinSample || top < 15) return {};
        off = -mean_level(matrix);
    }
    const double others = format.zeros_minus_one ? off - 1 : off + 1;
    const bool is_wrong = format.symmetric ? off != 0 && others == 0
                                           : std::abs(off) > 0.75 && std::abs(others) < 0.25 * std::abs(off);
    if (!is_wrong) return {};
    return caller_error(
        fmt::format("{}: tensor {}: declared checkpoint_format {}, but the zero points are those of {}: "
                    "weights would be {:.2f} "
                    "steps off zero on the whole, and {:.2f} in the other format",
                    weight.zeros.file->path(), weight.zeros.name, format.zeros_minus_one ? "gptq" : "gptq_v2",
                    format.zeros_minus_one ? "gptq_v2" : "gptq", off, others));
}

Status check_global_scale(const StoredWeight& weight) {
    const float scale = weight.global_divides ? 1 / weight.global_scale : weight.global_scale;
    // The largest block's scale is near e4m3's largest value, its largest weight 6 times that.
    const float largest = 448 * 6 * scale, others = 448 * 6 / scale;
    if (largest < kHugeWeight || others > kHugeWeight || others < kTinyWeight) return {};
    return caller_error(
        fmt::format("{}: the global scale {} is that of {}: as a {} it would make weights of up to {:.3g}, "
                    "as a {} of up to {:.3g}",
                    weight.name, weight.global_scale,
                    weight.global_divides ? "modelopt (weight_scale_2)" : "compressed-tensors",
                    weight.global_divides ? "divisor" : "multiplier", largest,
                    weight.global_divides ? "multiplier" : "divisor", others));
}

// Scales of e4m3: the largest code is near 448, the largest weight 448 times the scale.
Status check_fp8_scales(const StoredWeight& weight) {
    WW_ASSIGN(const QuantizedMatrix matrix, read_rows(weight, 0, 1));
    const auto [least, most] = std::minmax_element(matrix.scales.begin(), matrix.scales.end());
    const float smallest = 448 * *least, others = 448 / *most;
    if (smallest < kHugeWeight || others > kHugeWeight) return {};
    return caller_error(
        fmt::format("{}: tensor {}: scales are expected to multiply, and would make weights of {:.3g} and "
                    "more; as divisors they "
                    "would make {:.3g} and less",
                    weight.scales.file->path(), weight.scales.name, smallest, 448 / *least));
}

}  // namespace

Status check_plausible(const StoredWeight& weight, const LayerFormat& format) {
    if (weight.rows == 0 || weight.columns == 0) return {};
    switch (format.stored) {
        case StoredFormat::gptq: return check_gptq(weight, format);
        case StoredFormat::nvfp4:
        case StoredFormat::modelopt_nvfp4: return check_global_scale(weight);
        case StoredFormat::fp8_blocks:
        case StoredFormat::modelopt_fp8:
        case StoredFormat::modelopt_fp8_blocks:
        case StoredFormat::torchao_fp8: return check_fp8_scales(weight);
        case StoredFormat::bytes:
            return format.code == formats::Code::e4m3 ? check_fp8_scales(weight) : Status{};
        default: return {};
    }
}

}  // namespace warpwright
