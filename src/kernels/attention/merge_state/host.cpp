// SPDX-License-Identifier: Apache-2.0
// Merge of states on the host: one (token, head) at a time.
#include <cmath>
#include <limits>
#include <vector>

#include "device/host_threads.h"
#include "kernels/attention/merge_state/operation.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

template <DType type>
void merge_state(const void* raw, HostThreads& threads) {
    const MergeStateArgs& args = *static_cast<const MergeStateArgs*>(raw);
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    threads.parallel_for(args.rows, 1, [&](i64 begin, i64 end) {
        std::vector<float> total(static_cast<std::size_t>(args.head_dim)), lse;
        for (i64 row = begin; row < end; ++row) {
            const i64 token = row / args.heads, head = row % args.heads;
            const auto source_of = [&](int state) -> const MergeStateSource& {
                return state == 0 ? args.first : args.others;
            };
            lse.clear();
            float max = -kInfinity, sum = 0;
            for (int state = 0; state < args.states; ++state) {
                const MergeStateSource& from = source_of(state);
                const i64 after_first = std::max(state - 1, 0);
                const float value = from.lse[after_first * from.lse_state_stride +
                                             token * from.lse_token_stride + head * from.lse_head_stride] *
                                    args.to_log2;
                lse.push_back(std::isinf(value) ? -kInfinity : value);
                max = std::max(max, lse.back());
            }
            total.assign(total.size(), 0);
            for (int state = 0; state < args.states; ++state) {
                if (lse[state] == -kInfinity) continue;
                const MergeStateSource& from = source_of(state);
                const i64 after_first = std::max(state - 1, 0);
                const i64 start =
                    after_first * from.state_stride + token * from.token_stride + head * from.head_stride;
                const float weight = std::exp2(lse[state] - max);
                sum += weight;
                for (int i = 0; i < args.head_dim; ++i)
                    total[i] += weight * load_float(from.out, type, start + i);
            }
            const i64 out = token * args.out_token_stride + head * args.out_head_stride;
            for (int i = 0; i < args.head_dim; ++i)
                store_float(args.out, type, out + i, sum == 0 ? 0 : total[i] / sum);
            if (args.lse != nullptr) {
                args.lse[token * args.lse_token_stride + head * args.lse_head_stride] =
                    sum == 0 ? -kInfinity : (max + std::log2(sum)) / args.to_log2;
            }
        }
    });
}

}  // namespace

HostFunction MergeStateOp::host_function(const Row& row) {
    switch (row.dtype) {
        case DType::bf16: return merge_state<DType::bf16>;
        case DType::f16: return merge_state<DType::f16>;
        default: return merge_state<DType::f32>;
    }
}

}  // namespace warpwright
