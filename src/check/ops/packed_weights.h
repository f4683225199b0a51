// SPDX-License-Identifier: Apache-2.0
// Random packed weights for checks of products, plain and as the device has them.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <span>
#include <vector>

#include "check/harness.h"
#include "kernels/host_math.h"
#include "kernels/quantized_gemm/pack.h"
#include "kernels/quantized_gemm/problem.h"

namespace warpwright::packed_weights {

using formats::Code;
using formats::QuantizedMatrix;
using formats::ScaleCode;

// A weight of random codes and scales, plain and packed, and its numbers less zero points in packed order.
struct Weight {
    QuantizedMatrix plain;
    PackedWeight packed;
    std::vector<float> values, scales;
    Status status;
};

inline Code code_of(WeightFormat format) {
    switch (format) {
        case WeightFormat::int4: return Code::u4;
        case WeightFormat::int8: return Code::u8;
        case WeightFormat::fp8_e4m3: return Code::e4m3;
        case WeightFormat::mxfp4:
        case WeightFormat::nvfp4: break;
    }
    return Code::e2m1;
}

// Scales so that results are about one. Those of nvfp4 are near 16, which the global scale takes away.
inline void draw_scales(std::mt19937_64& random, const QuantizedGemmProblem& p, double typical,
                        QuantizedMatrix& m) {
    const auto count = static_cast<std::size_t>(m.row_groups() * m.column_groups());
    std::uniform_real_distribution<float> spread(0.5f, 2);
    if (p.format == WeightFormat::nvfp4) m.global_scale = static_cast<float>(typical / 16) * spread(random);
    for (std::size_t i = 0; i < count; ++i) {
        if (p.format == WeightFormat::mxfp4) {
            m.scale_code = ScaleCode::e8m0;
            m.scale_codes.push_back(
                static_cast<u8>(126 + std::ilogb(typical) + static_cast<int>(random() % 3)));
            m.scales.push_back(formats::decode_e8m0(m.scale_codes.back()));
        } else if (p.format == WeightFormat::nvfp4) {
            m.scale_code = ScaleCode::e4m3;
            m.scale_codes.push_back(static_cast<u8>(0x50 + random() % 32));  // 8 to 120
            m.scales.push_back(formats::decode(formats::kE4M3, m.scale_codes.back()) * m.global_scale);
        } else {
            m.scales.push_back(round_to(p.scale, static_cast<float>(typical) * spread(random)));
        }
    }
}

inline QuantizedMatrix random_matrix(std::mt19937_64& random, const QuantizedGemmProblem& p) {
    const WeightFormatFacts facts = facts_of(p.format);
    QuantizedMatrix m{.rows = p.n, .columns = p.k, .code = code_of(p.format)};
    m.group_columns = p.group == 0 ? p.k : p.group;
    m.codes.resize(static_cast<std::size_t>(p.n * p.k));
    for (u8& code : m.codes) {
        code = static_cast<u8>(random() & ((1u << facts.bits) - 1));
        if (m.code == Code::e4m3) code &= 0xf7;  // no NaN, every exponent
    }
    const double largest_code = is_integer(p.format) ? 1 << (facts.bits - 1) : m.code == Code::e4m3 ? 100 : 4;
    draw_scales(random, p, 1 / (largest_code * std::sqrt(static_cast<double>(p.k))), m);
    if (p.zeros) {
        m.zeros.resize(m.scales.size());
        for (i16& zero : m.zeros) zero = static_cast<i16>(random() & ((1u << facts.bits) - 1));
    }
    if (p.order) {
        for (i64 i = 0; i < p.k; ++i) m.column_group.push_back(static_cast<i32>(i / m.group_columns));
        std::shuffle(m.column_group.begin(), m.column_group.end(), random);
    }
    return m;
}

inline Weight random_weight(std::mt19937_64& random, const QuantizedGemmProblem& p) {
    Weight w{.plain = random_matrix(random, p)};
    const QuantizedMatrix& m = w.plain;
    auto packed = pack_weight(m);
    if (!packed.ok()) {
        w.status = packed.status();
        return w;
    }
    w.packed = std::move(*packed);
    const i64 groups = m.column_groups();
    for (i64 n = 0; n < p.n; ++n) {
        for (i64 k = 0; k < p.k; ++k) {
            const i64 column = w.packed.order.empty() ? k : w.packed.order[k];
            const i64 index = n * groups + m.group_of(column);
            const float zero = m.zeros.empty() ? static_cast<float>(formats::facts_of(m.code).symmetric_zero)
                                               : static_cast<float>(m.zeros[index]);
            w.values.push_back(formats::decode(m.code, m.codes[n * p.k + column]) - zero);
        }
        for (i64 g = 0; g < groups; ++g) {
            const i64 index = n * groups + g;
            w.scales.push_back(m.scale_codes.empty() ? m.scales[index]
                               : m.scale_code == ScaleCode::e8m0
                                   ? formats::decode_e8m0(m.scale_codes[index])
                                   : formats::decode(formats::kE4M3, m.scale_codes[index]));
        }
    }
    return w;
}

// One field of all groups' weights, one after another.
template <class Field>
auto joined(const std::vector<Weight>& weights, Field PackedWeight::*field) {
    Field all;
    for (const Weight& w : weights) {
        const Field& one = w.packed.*field;
        all.insert(all.end(), one.begin(), one.end());
    }
    return all;
}

inline Tensor joined_bytes(Workbench& bench, const std::vector<Weight>& weights,
                           std::vector<u8> PackedWeight::*field) {
    const std::vector<u8> all = joined(weights, field);
    return bench.bytes(std::as_bytes(std::span(all)), DType::u8);
}

}  // namespace warpwright::packed_weights
