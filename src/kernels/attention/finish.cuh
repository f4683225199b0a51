// SPDX-License-Identifier: Apache-2.0
// What ends a row of attention, when the weights of all its keys are summed.
#pragma once

#include "ptx/math.cuh"

namespace warpwright {

__device__ inline float infinity() {
    return __int_as_float(0x7f800000);
}

struct Finished {
    float scale;  // of the summed products
    float lse;
};

// max: of the scores before scale_log2, which the sum's weights are relative to. A row without keys has sum 0
// and gives zeros; its log-sum-exp is -infinity, or the sink's logit. A sink's weight joins the sum under the
// larger of both maxima, so that neither overflows.
__device__ inline Finished finish(float max, float sum, float scale_log2, const float* sinks, int head,
                                  float lse_factor) {
    if (sinks == nullptr) {
        return {sum == 0 ? 0 : 1 / sum,
                (sum == 0 ? -infinity() : max * scale_log2 + log2f(sum)) * lse_factor};
    }
    constexpr float kLog2E = 1.4426950408889634f;
    const float sink = sinks[head] * kLog2E, before = sum == 0 ? -infinity() : max * scale_log2;
    const float common = fmaxf(before, sink);
    if (common == -infinity()) return {0, common};
    const float factor = ptx::exp2_approx(before - common);
    const float total = sum * factor + ptx::exp2_approx(sink - common);
    return {factor / total, (common + log2f(total)) * lse_factor};
}

}  // namespace warpwright
