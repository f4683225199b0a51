// SPDX-License-Identifier: Apache-2.0
// Routing from its definition: in fp64, and in fp32. What a router chose is judged, as equal choices may fall
// either way in another precision: every expert that it left out must count no more than those it took.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "warpwright/expert_score.h"
#include "warpwright/types.h"

namespace warpwright {

struct MoeRouteInputs {
    ExpertScore score = ExpertScore::softmax;
    bool renormalize = false;
    double scale = 1;
    std::vector<float> bias;  // [experts]; empty: none
    i64 num_groups = 1, top_groups = 1;
    bool by_pairs = true;
};

template <class Real>
std::vector<Real> expert_scores(const std::vector<float>& logits, ExpertScore score) {
    std::vector<Real> x;
    for (const float logit : logits) {
        x.push_back(std::isnan(logit) ? -std::numeric_limits<Real>::infinity()
                                      : std::min<Real>(logit, std::numeric_limits<float>::max()));
    }
    const Real largest = *std::max_element(x.begin(), x.end());
    Real sum = 0;
    for (Real& value : x) {
        if (std::isinf(value)) {
            value = 0;
        } else if (score == ExpertScore::softmax) {
            value = std::exp(value - largest);
        } else if (score == ExpertScore::sigmoid) {
            value = 1 / (1 + std::exp(-value));
        } else {
            value = std::sqrt(std::max(value, Real{0}) + std::log1p(std::exp(-std::abs(value))));
        }
        sum += value;
    }
    if (score == ExpertScore::softmax && sum > 0) {
        for (Real& value : x) value /= sum;
    }
    return x;
}

// What is compared: score and bias; -infinity of NaN.
inline std::vector<double> expert_choices(const std::vector<float>& logits, const MoeRouteInputs& in) {
    std::vector<double> choices = expert_scores<double>(logits, in.score);
    for (std::size_t i = 0; i < choices.size(); ++i) {
        if (!in.bias.empty()) choices[i] += in.bias[i];
        if (!(logits[i] > -std::numeric_limits<float>::infinity())) {
            choices[i] = -std::numeric_limits<double>::infinity();
        }
    }
    return choices;
}

inline std::vector<double> group_choices(const std::vector<double>& choices, const MoeRouteInputs& in) {
    std::vector<double> groups;
    const std::size_t size = choices.size() / static_cast<std::size_t>(in.num_groups);
    for (std::size_t begin = 0; begin < choices.size(); begin += size) {
        std::vector<double> group(choices.begin() + static_cast<std::ptrdiff_t>(begin),
                                  choices.begin() + static_cast<std::ptrdiff_t>(begin + size));
        std::sort(group.begin(), group.end(), std::greater<>());
        groups.push_back(in.by_pairs && size > 1 ? group[0] + group[1] : group[0]);
    }
    return groups;
}

// Of experts that are known, in their order.
template <class Real>
std::vector<Real> expert_weights(const std::vector<float>& logits, const std::vector<i32>& ids,
                                 const MoeRouteInputs& in) {
    const std::vector<Real> scores = expert_scores<Real>(logits, in.score);
    std::vector<Real> weights;
    Real total = 0;
    for (const i32 id : ids) {
        weights.push_back(id < 0 ? 0 : scores[static_cast<std::size_t>(id)]);
        total += weights.back();
    }
    for (Real& weight : weights) {
        if (in.renormalize) weight /= total + Real(1e-20);
        weight *= static_cast<Real>(in.scale);
    }
    return weights;
}

}  // namespace warpwright
