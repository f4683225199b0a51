// SPDX-License-Identifier: Apache-2.0
// The best keys of a query from their definition.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "warpwright/types.h"

namespace warpwright {

// Positions, ascending, of the k largest of these logits; of equal ones the first. NaN counts as -infinity.
inline std::vector<i32> index_topk_oracle(const std::vector<float>& logits, i64 k) {
    std::vector<i32> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    const auto value = [&](i32 position) {
        const float logit = logits[static_cast<std::size_t>(position)];
        return std::isnan(logit) ? -std::numeric_limits<float>::infinity()
                                 : std::min(logit, std::numeric_limits<float>::max());
    };
    std::stable_sort(order.begin(), order.end(), [&](i32 a, i32 b) { return value(a) > value(b); });
    order.resize(std::min(order.size(), static_cast<std::size_t>(k)));
    std::sort(order.begin(), order.end());
    return order;
}

}  // namespace warpwright
