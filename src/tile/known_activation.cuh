// SPDX-License-Identifier: Apache-2.0
// Activations of which the kind is known where code is made.
#pragma once

#include "ptx/math.cuh"
#include "tile/activation.cuh"

namespace warpwright {

template <Activation kind>
struct ActivationTag {
    static constexpr Activation kKind = kind;
};
// f(kind): one branch, outside of all loops.
template <class F>
__device__ inline void with_activation(Activation activation, const F& f) {
    switch (activation) {
        case Activation::none: return f(ActivationTag<Activation::none>{});
        case Activation::silu: return f(ActivationTag<Activation::silu>{});
        case Activation::gelu: return f(ActivationTag<Activation::gelu>{});
        case Activation::gelu_tanh: return f(ActivationTag<Activation::gelu_tanh>{});
    }
}

// activate's bits of silu, for at most 80 in magnitude, without the division's branch for operands that a
// correction of an approximate quotient does not do for: here the divisor is 1 to 2^116. Of zeros the
// correction loses the sign.
constexpr float kModerate = 80;
__device__ inline float silu_of_moderate(float value) {
    const float divisor = 1 + expf(-value);
    const float about = ptx::reciprocal_approx(divisor);
    const float reciprocal = __fmaf_rn(about, __fmaf_rn(-divisor, about, 1), about);
    const float quotient = __fmul_rn(value, reciprocal);
    return copysignf(__fmaf_rn(__fmaf_rn(-quotient, divisor, value), reciprocal, quotient), value);
}

}  // namespace warpwright
