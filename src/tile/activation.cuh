// SPDX-License-Identifier: Apache-2.0
// Activations, in fp32. Which one is a run-time choice that a whole block agrees on.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

__device__ inline float activate(Activation activation, float value) {
    switch (activation) {
        case Activation::none: return value;
        case Activation::silu: return value / (1 + expf(-value));
        case Activation::gelu: return 0.5f * value * (1 + erff(value * 0.70710678f));
        case Activation::gelu_tanh: {
            const float cubic = 0.044715f * value * value * value;
            return 0.5f * value * (1 + tanhf(0.79788456f * (value + cubic)));
        }
    }
    return value;
}

}  // namespace warpwright
