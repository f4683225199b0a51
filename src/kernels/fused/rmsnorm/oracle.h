// SPDX-License-Identifier: Apache-2.0
// RMSNorm from its definition, in fp64.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/host_math.h"

namespace warpwright {

struct RmsNormAnswer {
    std::vector<double> residual;  // [rows, hidden], x + residual (x where there is none)
    std::vector<double> out;       // [rows, hidden]
};

// x, residual (may be empty): [rows, hidden]; weight: [hidden]. The residual stream is stored in `storage`,
// and what is stored is what is normalised: that rounding belongs to the definition. With a bias, [hidden],
// the mean is taken away first.
inline RmsNormAnswer rmsnorm_oracle(const std::vector<float>& x, const std::vector<float>& residual,
                                    const std::vector<float>& weight, double weight_offset, double epsilon,
                                    DType storage, const std::vector<float>& bias = {}) {
    const std::size_t hidden = weight.size();
    RmsNormAnswer answer{std::vector<double>(x.size()), std::vector<double>(x.size())};
    for (std::size_t start = 0; start < x.size(); start += hidden) {
        double sum = 0, mean = 0;
        for (std::size_t i = start; i < start + hidden; ++i) {
            answer.residual[i] = residual.empty() ? x[i] : double{x[i]} + residual[i];
            const double stored =
                residual.empty() ? x[i] : round_to(storage, static_cast<float>(answer.residual[i]));
            answer.out[i] = stored;
            mean += bias.empty() ? 0 : stored / static_cast<double>(hidden);
        }
        for (std::size_t i = start; i < start + hidden; ++i) {
            answer.out[i] -= mean;
            sum += answer.out[i] * answer.out[i];
        }
        const double scale = 1 / std::sqrt(sum / static_cast<double>(hidden) + epsilon);
        for (std::size_t i = start; i < start + hidden; ++i) {
            answer.out[i] *= scale * (weight[i - start] + weight_offset);
            if (!bias.empty()) answer.out[i] += bias[i - start];
        }
    }
    return answer;
}

}  // namespace warpwright
