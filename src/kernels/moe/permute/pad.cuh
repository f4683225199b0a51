// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/moe/permute/problem.h"

namespace warpwright {

// Rows begin, begin + stride, ... below `end` that no slot has.
__device__ inline void pad(const MoePermuteArgs& args, int begin, int end, int stride) {
    for (int row = begin; row < end; row += stride) {
        args.token_of_row[row] = -1;
        if (args.expert_of_row != nullptr) args.expert_of_row[row] = -1;
    }
}

}  // namespace warpwright
