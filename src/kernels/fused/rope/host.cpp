// SPDX-License-Identifier: Apache-2.0
// RoPE on the host: the cosines and sines of a token once, then all of its heads.
#include <cmath>
#include <vector>

#include "device/host_threads.h"
#include "kernels/fused/rope/operation.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

template <class T>
void rope(const void* raw, HostThreads& threads) {
    const RopeArgs& args = *static_cast<const RopeArgs*>(raw);
    threads.parallel_for(args.tokens, 1, [&](i64 begin, i64 end) {
        std::vector<float> cosine(static_cast<std::size_t>(args.pairs)), sine(cosine.size());
        for (i64 token = begin; token < end; ++token) {
            for (std::size_t i = 0; i < cosine.size(); ++i) {
                const float angle = static_cast<float>(args.positions[token]) * args.frequency[i];
                cosine[i] = std::cos(angle) * args.magnitude;
                sine[i] = std::sin(angle) * args.magnitude;
            }
            const auto rotate = [&](void* data, i64 start, i32 heads, i64 head_stride) {
                for (i64 head = 0; head < heads; ++head, start += head_stride) {
                    for (i64 i = 0; i < args.pairs; ++i) {
                        const i64 first = start + (args.interleaved ? 2 * i : i);
                        const i64 second = first + (args.interleaved ? 1 : args.pairs);
                        const float a = T::load(data, first), b = T::load(data, second);
                        const float c = cosine[static_cast<std::size_t>(i)];
                        const float s = sine[static_cast<std::size_t>(i)];
                        T::store(data, first, a * c - b * s);
                        T::store(data, second, b * c + a * s);
                    }
                }
            };
            rotate(args.q, token * args.q_token_stride, args.heads, args.q_head_stride);
            rotate(args.k, token * args.k_token_stride, args.kv_heads, args.k_head_stride);
        }
    });
}

}  // namespace

HostFunction RopeOp::host_function(const Row& row) {
    return row.dtype == DType::bf16 ? rope<HostBf16> : rope<HostHalf>;
}

}  // namespace warpwright
