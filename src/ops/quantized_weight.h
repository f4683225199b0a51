// SPDX-License-Identifier: Apache-2.0
// A packed weight as an argument: of quantized_gemm, and of quantized_experts.
#pragma once

#include "kernels/quantized_gemm/problem.h"
#include "ops/match.h"
#include "warpwright/ops/quantized_gemm.h"

namespace warpwright {

// The weight's own tensors against its sizes.
void match_weight(Matcher& match, const QuantizedWeight& b);

// A whole row is 0, however it is said: what fits into a step keeps its group, whose scales are padded.
i64 group_of_scales(const QuantizedWeight& b);

// All that is the weight's, but for the strides of groups.
void set_weight(QuantizedGemmArgs& args, const QuantizedWeight& b);

}  // namespace warpwright
