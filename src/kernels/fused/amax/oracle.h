// SPDX-License-Identifier: Apache-2.0
// The largest magnitude from its definition.
#pragma once

#include <cmath>
#include <vector>

namespace warpwright {

// NaN where any number is.
template <class Number>
double amax_oracle(const std::vector<Number>& values) {
    double most = 0;
    for (const Number value : values) {
        if (std::isnan(value)) return std::nan("");
        most = std::fmax(most, std::abs(double{value}));
    }
    return most;
}

}  // namespace warpwright
