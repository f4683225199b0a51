// SPDX-License-Identifier: Apache-2.0
// KV append from its definition, for one of the two caches.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/fused/kv_append/problem.h"

namespace warpwright {

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
