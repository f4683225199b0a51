// SPDX-License-Identifier: Apache-2.0
// KV append from its definition, for one of the two caches; and the codes that are kept of values.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/fused/kv_append/problem.h"
#include "kernels/fused/quantize/oracle.h"

namespace warpwright {

// values: [tokens, kv_heads, head_dim]; scales: of each kv head.
inline std::vector<float> kv_codes(std::vector<float> values, KvFormat format,
                                   const std::vector<float>& scales, i64 head_dim) {
    const NearestCode nearest(format == KvFormat::fp8_e4m3 ? CodeType::e4m3 : CodeType::e5m2);
    const auto heads = static_cast<i64>(scales.size());
    for (i64 i = 0; i < static_cast<i64>(values.size()); ++i) {
        const float scale = scales[static_cast<std::size_t>(i / head_dim % heads)];
        const bool is_scale = scale > 0 && std::isfinite(scale);
        float& value = values[static_cast<std::size_t>(i)];
        const double quotient = is_scale ? double{value} / scale : std::numeric_limits<double>::quiet_NaN();
        const auto code = static_cast<u8>(nearest(static_cast<float>(quotient)));
        value = code;
    }
    return values;
}

// values: [tokens, slot_size] with slot_size = kv_heads x head_dim; pages: [pages, page_size, slot_size]
// before the call; page_table: [sequences, max_pages]. The answer is all of the pages after it.
inline std::vector<double> kv_append_oracle(const std::vector<float>& values, const std::vector<float>& pages,
                                            const std::vector<i32>& sequences,
                                            const std::vector<i32>& positions,
                                            const std::vector<i32>& page_table, i64 max_pages, i64 page_size,
                                            i64 slot_size) {
    std::vector<double> answer(pages.begin(), pages.end());
    for (std::size_t token = 0; token < positions.size(); ++token) {
        if (positions[token] < 0) continue;
        const i64 page =
            page_table[static_cast<std::size_t>(sequences[token] * max_pages + positions[token] / page_size)];
        const i64 slot = page * page_size + positions[token] % page_size;
        std::copy_n(values.begin() + static_cast<i64>(token) * slot_size, slot_size,
                    answer.begin() + slot * slot_size);
    }
    return answer;
}

}  // namespace warpwright
