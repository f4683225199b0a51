// SPDX-License-Identifier: Apache-2.0
// RoPE in place on queries and keys, portable. Limited by memory: each rotated element is read and written
// once, 16 bytes a thread.
//
//   block = one token        cos, sin of every pair -> shared memory | turn all heads of q, then of k
//
// One element turns together with its partner: half a head away (neox) or beside it (interleaved).
#include "kernels/fused/rope/rows.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"
#include "tile/sincos.cuh"

namespace warpwright {

constexpr RopeRow kRow = row_at(kRopeRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;

struct alignas(16) Rotations {
    float cosine[kRow.max_pairs > 0 ? kRow.max_pairs : 4];
    float sine[kRow.max_pairs > 0 ? kRow.max_pairs : 4];
};

__device__ inline SinCos rotation(const RopeArgs& args, i32 position, int pair) {
    const SinCos turn = sin_cos(static_cast<float>(position) * args.frequency[pair]);
    return {turn.sine * args.magnitude, turn.cosine * args.magnitude};
}

// neox: two elements of the first half and their partners of the second, packed in pairs.
__device__ inline void turn_halves(u32& first, u32& second, const float* cosine, const float* sine) {
    const float a0 = ptx::low_float<T>(first), a1 = ptx::high_float<T>(first);
    const float b0 = ptx::low_float<T>(second), b1 = ptx::high_float<T>(second);
    first = ptx::pack<T>(a0 * cosine[0] - b0 * sine[0], a1 * cosine[1] - b1 * sine[1]);
    second = ptx::pack<T>(b0 * cosine[0] + a0 * sine[0], b1 * cosine[1] + a1 * sine[1]);
}

// interleaved: an element and its partner are one packed pair.
__device__ inline u32 turn_pair(u32 pair, float cosine, float sine) {
    const float a = ptx::low_float<T>(pair), b = ptx::high_float<T>(pair);
    return ptx::pack<T>(a * cosine - b * sine, b * cosine + a * sine);
}

// All heads of one token. A work item is 16 pairs' worth of bytes for neox (a vector of each half) and 4
// pairs for interleaved (one vector).
__device__ inline void turn_heads(T* x, i64 head_stride, int heads, const RopeArgs& args,
                                  const Rotations& rotations) {
    const int per_head = args.pairs / (args.interleaved ? 4 : 8);
    for (int i = threadIdx.x; i < heads * per_head; i += kRow.threads) {
        const int head = i / per_head;
        const int item = i - head * per_head;
        if (args.interleaved) {
            T* address = x + head * head_stride + item * 8;
            const float* cosine = rotations.cosine + item * 4;
            const float* sine = rotations.sine + item * 4;
            const U32x4 v = ptx::load(address);
            ptx::store(address, {turn_pair(v.x, cosine[0], sine[0]), turn_pair(v.y, cosine[1], sine[1]),
                                 turn_pair(v.z, cosine[2], sine[2]), turn_pair(v.w, cosine[3], sine[3])});
        } else {
            T* address = x + head * head_stride + item * 8;
            const float* cosine = rotations.cosine + item * 8;
            const float* sine = rotations.sine + item * 8;
            U32x4 first = ptx::load(address), second = ptx::load(address + args.pairs);
            turn_halves(first.x, second.x, cosine, sine);
            turn_halves(first.y, second.y, cosine + 2, sine + 2);
            turn_halves(first.z, second.z, cosine + 4, sine + 4);
            turn_halves(first.w, second.w, cosine + 6, sine + 6);
            ptx::store(address, first);
            ptx::store(address + args.pairs, second);
        }
    }
}

// rotary_dim is a multiple of 16 and everything is 16-byte aligned.
__device__ inline void turn_vectors(const RopeArgs& args, i64 token, Rotations& rotations) {
    const i32 position = args.positions[token];
    for (int pair = threadIdx.x; pair < args.pairs; pair += kRow.threads) {
        const SinCos turn = rotation(args, position, pair);
        rotations.cosine[pair] = turn.cosine;
        rotations.sine[pair] = turn.sine;
    }
    __syncthreads();
    turn_heads(static_cast<T*>(args.q) + token * args.q_token_stride, args.q_head_stride, args.heads, args,
               rotations);
    turn_heads(static_cast<T*>(args.k) + token * args.k_token_stride, args.k_head_stride, args.kv_heads, args,
               rotations);
}

__device__ inline void turn_elements_of(T* x, i64 head_stride, int heads, int pair, SinCos turn,
                                        const RopeArgs& args) {
    const int first = args.interleaved ? 2 * pair : pair;
    const int second = first + (args.interleaved ? 1 : args.pairs);
    for (int head = 0; head < heads; ++head, x += head_stride) {
        const float a = ptx::to_float(x[first]), b = ptx::to_float(x[second]);
        x[first] = ptx::from_float<T>(a * turn.cosine - b * turn.sine);
        x[second] = ptx::from_float<T>(b * turn.cosine + a * turn.sine);
    }
}

// No demands: a thread owns pairs and walks over the heads.
__device__ inline void turn_elements(const RopeArgs& args, i64 token) {
    const i32 position = args.positions[token];
    for (int pair = threadIdx.x; pair < args.pairs; pair += kRow.threads) {
        const SinCos turn = rotation(args, position, pair);
        turn_elements_of(static_cast<T*>(args.q) + token * args.q_token_stride, args.q_head_stride,
                         args.heads, pair, turn, args);
        turn_elements_of(static_cast<T*>(args.k) + token * args.k_token_stride, args.k_head_stride,
                         args.kv_heads, pair, turn, args);
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::RopeArgs args) {
    using namespace warpwright;
    __shared__ Rotations rotations;
    ptx::wait_for_predecessor();
    if constexpr (kRow.max_pairs > 0) {
        turn_vectors(args, blockIdx.x, rotations);
    } else {
        turn_elements(args, blockIdx.x);
    }
    ptx::release_successor();
}
