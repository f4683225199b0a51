// SPDX-License-Identifier: Apache-2.0
// Logits before sampling from their definition: in fp64, and in fp32.
#pragma once

#include <cmath>
#include <vector>

#include "warpwright/types.h"

namespace warpwright {

struct LogitsInputs {
    std::vector<float> values;  // [rows, vocabulary]
    i64 vocabulary = 0;
    double softcap = 0;
    std::vector<i32> starts;                      // [rows + 1]; empty: no adjustments
    std::vector<i32> tokens;                      // [entries], and so are the rest
    std::vector<float> repetition, addend, bias;  // bias: empty for none
};

template <class Real>
std::vector<Real> logits_oracle(const LogitsInputs& in) {
    std::vector<Real> out(in.values.begin(), in.values.end());
    if (in.softcap > 0) {
        const auto cap = static_cast<Real>(in.softcap);
        for (Real& x : out) x = cap * std::tanh(x / cap);
    }
    for (std::size_t row = 0; row + 1 < in.starts.size(); ++row) {
        for (i32 entry = in.starts[row]; entry < in.starts[row + 1]; ++entry) {
            const i32 token = in.tokens[entry];
            if (token < 0 || token >= in.vocabulary) continue;
            Real& x = out[row * static_cast<std::size_t>(in.vocabulary) + static_cast<std::size_t>(token)];
            if (!in.bias.empty()) x += Real{in.bias[entry]};
            const Real repetition = in.repetition[entry];
            x = x > 0 ? x / repetition : x * repetition;
            x += Real{in.addend[entry]};
        }
    }
    return out;
}

}  // namespace warpwright
