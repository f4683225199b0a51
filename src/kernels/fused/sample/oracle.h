// SPDX-License-Identifier: Apache-2.0
// The distribution that a row of logits is sampled from, in fp64 and from the definition: softmax, sort, cut.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "warpwright/types.h"

namespace warpwright {

struct SampleSettings {
    double temperature = 1;
    i32 top_k = 0;
    double top_p = 1;
    double min_p = 0;
};

// Probability of every token; 0 where a filter removed it. Logits hold at least one finite value.
inline std::vector<double> sample_oracle(const std::vector<float>& logits, const SampleSettings& settings) {
    const std::size_t count = logits.size();
    std::vector<double> clean(logits.begin(), logits.end());
    for (double& logit : clean) {
        if (std::isnan(logit)) logit = -std::numeric_limits<double>::infinity();
        if (logit > std::numeric_limits<float>::max()) logit = std::numeric_limits<float>::max();
    }
    const double peak = *std::max_element(clean.begin(), clean.end());
    std::vector<double> probability(count);
    for (std::size_t i = 0; i < count; ++i)
        probability[i] = std::exp((clean[i] - peak) / settings.temperature);
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return clean[a] > clean[b]; });

    std::size_t kept = count;  // the first `kept` of the order
    const auto with_ties = [&](std::size_t length) {
        while (length < count && clean[order[length]] == clean[order[length - 1]]) ++length;
        return length;
    };
    if (settings.top_k > 0 && static_cast<std::size_t>(settings.top_k) < count) {
        kept = with_ties(static_cast<std::size_t>(settings.top_k));
    }
    double total = 0;
    for (std::size_t i = 0; i < kept; ++i) total += probability[order[i]];
    if (settings.top_p < 1) {
        double sum = 0;
        std::size_t length = 0;
        while (length < kept && (length == 0 || sum < settings.top_p * total))
            sum += probability[order[length++]];
        kept = std::min(kept, with_ties(length));
    }
    total = 0;
    std::vector<double> result(count, 0.0);
    for (std::size_t i = 0; i < kept; ++i) {
        if (probability[order[i]] < std::min(settings.min_p, 1.0)) break;  // of the largest, which is 1
        result[order[i]] = probability[order[i]];
        total += probability[order[i]];
    }
    for (double& value : result) value /= total;
    return result;
}

}  // namespace warpwright
