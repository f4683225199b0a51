// SPDX-License-Identifier: Apache-2.0
// Delayed scaling from its definition (warpwright/ops/scaling.h), a tensor at a time.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "warpwright/types.h"

namespace warpwright {

struct ScalingAnswer {
    std::vector<double> history, scale, scale_inv;
};

inline ScalingAnswer scaling_oracle(const std::vector<float>& history, const std::vector<float>& scale,
                                    double scaled_max, bool largest_of_all) {
    const auto tensors = static_cast<i64>(scale.size());
    const i64 length = std::ssize(history) / tensors;
    ScalingAnswer answer{std::vector<double>(history.size()), {scale.begin(), scale.end()}, {}};
    for (i64 t = 0; t < tensors; ++t) {
        const auto at = [&](i64 row) { return static_cast<std::size_t>(row % length * tensors + t); };
        double amax = history[at(0)];
        for (i64 row = 0; row < length; ++row) {
            const double value = history[at(row)];
            if (largest_of_all && !(value <= amax) && !std::isnan(amax)) amax = value;
            answer.history[at(row)] = row == 0 ? 0 : history[at(row + 1)];
        }
        double& now = answer.scale[static_cast<std::size_t>(t)];
        if (amax > 0 && std::isfinite(amax))
            now = static_cast<float>(std::min<double>(scaled_max / amax, std::numeric_limits<float>::max()));
        answer.scale_inv.push_back(static_cast<float>(1 / now));
    }
    return answer;
}

}  // namespace warpwright
