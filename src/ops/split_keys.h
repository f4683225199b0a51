// SPDX-License-Identifier: Apache-2.0
// What attention and latent attention share: their strides, and the launch that merges results of split keys.
#pragma once

#include <cmath>
#include <limits>

#include "dispatch/prepare.h"
#include "kernels/attention/merge/operation.h"
#include "kernels/attention/problem.h"

namespace warpwright {

constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.69314718055994531f;

// Kernels count strides in 32 bits.
inline bool strides_fit(const Tensor& tensor) {
    for (int i = 0; i < tensor.rank; ++i) {
        if (std::abs(tensor.stride[i]) > std::numeric_limits<i32>::max()) return false;
    }
    return true;
}

// After the launch of `args`, whose partial results are in base 2 and without sinks.
template <class Args>
Status prepare_merge(Context& context, const Args& args, i64 head_dim, DType dtype, const float* sinks,
                     float lse_factor, Prepared& prepared) {
    const AttentionMergeProblem problem{.q_tokens = args.q_tokens,
                                        .heads = args.heads,
                                        .head_dim = head_dim,
                                        .splits = args.num_splits,
                                        .dtype = dtype};
    const AttentionMergeArgs merge{.partial_out = args.partial_out,
                                   .partial_lse = args.partial_lse,
                                   .out = args.out,
                                   .lse = args.lse,
                                   .sinks = sinks,
                                   .q_starts = args.q_starts,
                                   .out_token_stride = args.out_token_stride,
                                   .out_head_stride = args.out_head_stride,
                                   .lse_token_stride = args.lse_token_stride,
                                   .sequences = args.sequences,
                                   .q_tokens = args.q_tokens,
                                   .heads = args.heads,
                                   .head_dim = static_cast<i32>(head_dim),
                                   .partial_dim = static_cast<i32>(partial_dim(head_dim)),
                                   .splits = args.num_splits,
                                   .lse_factor = lse_factor};
    return prepare_step<AttentionMergeOp>(context, problem, merge, prepared);
}

}  // namespace warpwright
