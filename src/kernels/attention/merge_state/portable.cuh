// SPDX-License-Identifier: Apache-2.0
// Merge of states, portable. Limited by memory: what counts of a state is read once, 16 bytes a lane.
//
//   some lanes of a warp = one (token, head)    log-sum-exps | outputs | fp32 sums
//
// The log-sum-exps are read by all lanes before one stores the merged one, which may be in their place.
#include "kernels/attention/merge_state/rows.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "ptx/math.cuh"
#include "ptx/memory.cuh"

namespace warpwright {

constexpr MergeStateRow kRow = row_at(kMergeStateRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
using T = Storage<kRow.dtype>;
constexpr int kElements = elements_per_lane(kRow), kRowsPerBlock = rows_per_block(kRow);

// What a lane has of a row: 16 bytes as fp32, or one element.
template <class T>
struct Piece {
    static constexpr bool kIsWide = sizeof(T) == 4;  // f32

    float of[kElements];

    __device__ void load(const T* from) {
        if constexpr (!kRow.vectors) {
            of[0] = ptx::to_float(*from);
        } else {
            const U32x4 v = ptx::load(from);
            const u32 words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
            for (int i = 0; i < kElements; ++i) {
                if constexpr (kIsWide) {
                    of[i] = __uint_as_float(words[i]);
                } else {
                    const u32 word = words[i / 2];
                    of[i] = i % 2 == 0 ? ptx::low_float<T>(word) : ptx::high_float<T>(word);
                }
            }
        }
    }
    __device__ void store(T* to) const {
        if constexpr (!kRow.vectors) {
            *to = ptx::from_float<T>(of[0]);
        } else {
            u32 words[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                if constexpr (kIsWide) {
                    words[i] = __float_as_uint(of[i]);
                } else {
                    words[i] = ptx::pack<T>(of[2 * i], of[2 * i + 1]);
                }
            }
            ptx::store(to, U32x4{words[0], words[1], words[2], words[3]});
        }
    }
};

struct MergePlace {
    i64 token, head;

    __device__ float lse_of(const MergeStateArgs& args, int state) const {
        const MergeStateSource& from = state == 0 ? args.first : args.others;
        const i64 after_first = state > 0 ? state - 1 : 0;
        const float value = from.lse[after_first * from.lse_state_stride + token * from.lse_token_stride +
                                     head * from.lse_head_stride];
        const float infinity = __int_as_float(0x7f800000);
        return value == infinity ? -infinity : value * args.to_log2;
    }
    __device__ const T* out_of(const MergeStateArgs& args, int state) const {
        const MergeStateSource& from = state == 0 ? args.first : args.others;
        const i64 after_first = state > 0 ? state - 1 : 0;
        return static_cast<const T*>(from.out) + after_first * from.state_stride + token * from.token_stride +
               head * from.head_stride;
    }
};

__device__ inline void merge_states(const MergeStateArgs& args) {
    const float infinity = __int_as_float(0x7f800000);
    const int lane = threadIdx.x % kRow.lanes;
    const i64 row = static_cast<i64>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kRow.lanes;
    const bool exists = row < args.rows;
    const u32 index = static_cast<u32>(exists ? row : 0), heads = args.heads;
    const MergePlace place{index / heads, index % heads};

    float max = -infinity, sum = 0;
    for (int state = 0; state < args.states; ++state) max = fmaxf(max, place.lse_of(args, state));
    const float offset = max == -infinity ? 0 : max;
    for (int state = 0; state < args.states; ++state)
        sum += ptx::exp2_approx(place.lse_of(args, state) - offset);
    const float scale = sum == 0 ? 0 : 1 / sum;
    T* out =
        static_cast<T*>(args.out) + place.token * args.out_token_stride + place.head * args.out_head_stride;
    for (int column = lane * kElements; exists && column < args.head_dim; column += kRow.lanes * kElements) {
        Piece<T> total{};
        for (int state = 0; state < args.states; ++state) {
            const float weight = ptx::exp2_approx(place.lse_of(args, state) - offset);
            if (weight == 0) continue;  // it may have no keys, and no output
            Piece<T> piece;
            piece.load(place.out_of(args, state) + column);
#pragma unroll
            for (int i = 0; i < kElements; ++i) total.of[i] = __fmaf_rn(weight, piece.of[i], total.of[i]);
        }
#pragma unroll
        for (float& value : total.of) value *= scale;
        total.store(out + column);
    }
    __syncwarp();
    if (exists && lane == 0 && args.lse != nullptr) {
        args.lse[place.token * args.lse_token_stride + place.head * args.lse_head_stride] =
            sum == 0 ? -infinity : (max + log2f(sum)) / args.to_log2;
    }
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::MergeStateArgs args) {
    using namespace warpwright;
    ptx::wait_for_predecessor();
    merge_states(args);
    ptx::release_successor();
}
