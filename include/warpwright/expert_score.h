// SPDX-License-Identifier: Apache-2.0
// What a router makes of an expert's logit x: words shared by host code and kernels. No standard header:
// NVRTC reads this file too.
//   softmax        e^x over the sum of e^x of all experts     Mixtral, Qwen, gpt-oss, DeepSeek-V2
//   sigmoid        1 / (1 + e^-x)                             DeepSeek-V3, Kimi-K2, GLM, MiniMax, Llama 4
//   sqrt_softplus  sqrt(ln(1 + e^x))                          DeepSeek-V4
#pragma once

#include "warpwright/types.h"

namespace warpwright {

enum class ExpertScore : u8 { softmax, sigmoid, sqrt_softplus };
constexpr int kNumExpertScores = static_cast<int>(ExpertScore::sqrt_softplus) + 1;

constexpr const char* expert_score_name(ExpertScore score) {
    switch (score) {
        case ExpertScore::softmax: return "softmax";
        case ExpertScore::sigmoid: return "sigmoid";
        case ExpertScore::sqrt_softplus: return "sqrt_softplus";
    }
    return "?";
}

}  // namespace warpwright
