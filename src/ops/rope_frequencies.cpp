// SPDX-License-Identifier: Apache-2.0
// Frequencies of rotary embeddings and their stretching to longer contexts, as transformers'
// modeling_rope_utils defines them. The base frequencies take its fp32 roundings, so that checkpoints see
// what they were trained with.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "warpwright/ops/rope.h"

namespace warpwright {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

// Wavelengths that fit often into the original context stay, long ones are stretched by the factor, and
// between the two bounds the one passes over into the other. Llama 3.1.
float llama3(float frequency, const RopeScaling& scaling) {
    const double wavelength = kTwoPi / frequency;
    if (wavelength < scaling.original_max_position / scaling.high_freq_factor) return frequency;
    if (wavelength > scaling.original_max_position / scaling.low_freq_factor) {
        return static_cast<float>(frequency / scaling.factor);
    }
    const double smooth = (scaling.original_max_position / wavelength - scaling.low_freq_factor) /
                          (scaling.high_freq_factor - scaling.low_freq_factor);
    return static_cast<float>((1 - smooth) * frequency / scaling.factor + smooth * frequency);
}

// The pair that turns `rotations` times over the original context. Peng et al. 2023 (YaRN), section 3.2.
double correction_pair(double rotations, double theta, int rotary_dim, const RopeScaling& scaling) {
    return rotary_dim * std::log(scaling.original_max_position / (rotations * kTwoPi)) /
           (2 * std::log(theta));
}

double yarn_magnitude(double factor, double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

void apply_yarn(RopeFrequencies& result, double theta, int rotary_dim, const RopeScaling& scaling) {
    double low = correction_pair(scaling.beta_fast, theta, rotary_dim, scaling);
    double high = correction_pair(scaling.beta_slow, theta, rotary_dim, scaling);
    if (scaling.truncate) low = std::floor(low), high = std::ceil(high);
    low = std::max(low, 0.0), high = std::min(high, rotary_dim - 1.0);
    if (low == high) high += 0.001;
    for (std::size_t i = 0; i < result.frequency.size(); ++i) {
        const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
        const double frequency = result.frequency[i];
        result.frequency[i] = static_cast<float>(frequency / scaling.factor * ramp + frequency * (1 - ramp));
    }
    if (scaling.attention_factor != 0) {
        result.magnitude = static_cast<float>(scaling.attention_factor);
    } else if (scaling.mscale != 0 && scaling.mscale_all_dim != 0) {
        result.magnitude = static_cast<float>(yarn_magnitude(scaling.factor, scaling.mscale) /
                                              yarn_magnitude(scaling.factor, scaling.mscale_all_dim));
    } else {
        result.magnitude = static_cast<float>(yarn_magnitude(scaling.factor, 1));
    }
}

// Ding et al. 2024 (LongRoPE): a divisor for every pair.
void apply_longrope(RopeFrequencies& result, const RopeScaling& scaling, i64 context_tokens) {
    const bool is_long = static_cast<double>(context_tokens) > scaling.original_max_position;
    const std::vector<double>& factors = is_long ? scaling.long_factor : scaling.short_factor;
    for (std::size_t i = 0; i < result.frequency.size(); ++i) {
        result.frequency[i] = static_cast<float>(result.frequency[i] / factors[i]);
    }
    if (scaling.attention_factor != 0) {
        result.magnitude = static_cast<float>(scaling.attention_factor);
    } else if (scaling.factor > 1) {
        result.magnitude = static_cast<float>(
            std::sqrt(1 + std::log(scaling.factor) / std::log(scaling.original_max_position)));
    }
}

}  // namespace

RopeFrequencies rope_frequencies(double theta, int rotary_dim, const RopeScaling& scaling,
                                 i64 context_tokens) {
    RopeFrequencies result;
    for (int i = 0; i < rotary_dim / 2; ++i) {
        const float exponent = static_cast<float>(2 * i) / static_cast<float>(rotary_dim);
        result.frequency.push_back(1 / static_cast<float>(std::pow(theta, double{exponent})));
    }
    switch (scaling.kind) {
        case RopeScaling::Kind::none: break;
        case RopeScaling::Kind::linear:
            for (float& frequency : result.frequency) {
                frequency = static_cast<float>(frequency / scaling.factor);
            }
            break;
        case RopeScaling::Kind::llama3:
            for (float& frequency : result.frequency) frequency = llama3(frequency, scaling);
            break;
        case RopeScaling::Kind::yarn: apply_yarn(result, theta, rotary_dim, scaling); break;
        case RopeScaling::Kind::longrope: apply_longrope(result, scaling, context_tokens); break;
    }
    return result;
}

}  // namespace warpwright
