// SPDX-License-Identifier: Apache-2.0
// Combination on the host, token by token.
#include <cmath>
#include <vector>

#include "device/host_threads.h"
#include "kernels/host_math.h"
#include "kernels/moe/combine/operation.h"

namespace warpwright {
namespace {

template <class T>
void combine_token(const MoeCombineArgs& args, i64 token, std::vector<float>& sums) {
    const auto width = static_cast<std::size_t>(args.width);
    sums.assign(width, 0);
    if (args.base != nullptr) {
        for (std::size_t i = 0; i < width; ++i) {
            sums[i] = T::load(args.base, token * args.base_stride + static_cast<i64>(i));
        }
    }
    for (i64 slot = token * args.top_k; slot < (token + 1) * args.top_k; ++slot) {
        const i64 row = args.row_of_slot[slot];
        if (row < 0 || row >= args.num_rows) continue;
        const float weight = args.weights[slot];
        for (std::size_t i = 0; i < width; ++i) {
            sums[i] =
                std::fma(weight, T::load(args.rows, row * args.rows_stride + static_cast<i64>(i)), sums[i]);
        }
    }
    for (std::size_t i = 0; i < width; ++i) {
        T::store(args.out, token * args.out_stride + static_cast<i64>(i), sums[i]);
    }
}

template <class T>
void moe_combine(const void* raw, HostThreads& threads) {
    const MoeCombineArgs& args = *static_cast<const MoeCombineArgs*>(raw);
    threads.parallel_for(args.tokens, 1, [&](i64 begin, i64 end) {
        std::vector<float> sums;
        for (i64 token = begin; token < end; ++token) combine_token<T>(args, token, sums);
    });
}

}  // namespace

HostFunction MoeCombineOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? moe_combine<HostBf16> : moe_combine<HostHalf>;
}

}  // namespace warpwright
