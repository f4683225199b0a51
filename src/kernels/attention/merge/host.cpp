// SPDX-License-Identifier: Apache-2.0
// Attention merge on the host: one (token, head) at a time.
#include <cmath>
#include <limits>
#include <vector>

#include "device/host_threads.h"
#include "kernels/attention/host_finish.h"
#include "kernels/attention/merge/operation.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

template <class T>
void merge(const void* raw, HostThreads& threads) {
    const AttentionMergeArgs& args = *static_cast<const AttentionMergeArgs*>(raw);
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const i64 stride = i64{args.q_tokens} * args.heads;
    const i64 first_row = std::min(i64{args.q_starts[0]} * args.heads, stride);
    const i64 end_row = std::min(i64{args.q_starts[args.sequences]} * args.heads, stride);
    threads.parallel_for(end_row - first_row, 1, [&](i64 begin, i64 end) {
        std::vector<float> total(static_cast<std::size_t>(args.head_dim));
        for (i64 row = first_row + begin; row < first_row + end; ++row) {
            float max = -kInfinity, sum = 0;
            for (int split = 0; split < args.splits; ++split) {
                max = std::max(max, args.partial_lse[split * stride + row]);
            }
            std::fill(total.begin(), total.end(), 0.f);
            for (int split = 0; split < args.splits; ++split) {
                const i64 index = split * stride + row;
                if (args.partial_lse[index] == -kInfinity) continue;
                const float weight = std::exp2(args.partial_lse[index] - max);
                sum += weight;
                for (int i = 0; i < args.head_dim; ++i) {
                    total[i] += weight * args.partial_out[index * args.partial_dim + i];
                }
            }
            const i64 token = row / args.heads, head = row % args.heads;
            const i64 out = token * args.out_token_stride + head * args.out_head_stride;
            const HostFinished finished = host_finish(max, sum, args.sinks, head, args.lse_factor);
            for (int i = 0; i < args.head_dim; ++i) T::store(args.out, out + i, total[i] * finished.scale);
            if (args.lse != nullptr) args.lse[token * args.lse_token_stride + head] = finished.lse;
        }
    });
}

}  // namespace

HostFunction AttentionMergeOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? merge<HostBf16> : merge<HostHalf>;
}

}  // namespace warpwright
