// SPDX-License-Identifier: Apache-2.0
// Routing, portable. A warp is a token; expert i is number i / 32 of lane i % 32, in its registers.
//
//   load logits | scores, softmax's sum over the warp | choices as ordered integers
//   groups: each one's two largest choices, then the best groups; what is in no other one is left out
//   top_k times: the warp's largest choice, of the lowest id that has it
//   weights, of lane j the j-th
#include "kernels/moe/route/rows.h"
#include "kernels/moe/route/score.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "tile/reduce.cuh"

namespace warpwright {

constexpr MoeRouteRow kRow = row_at(kMoeRouteRows, WW_ROW);
static_assert(image_fits(kRow, static_cast<BuildTarget>(WW_TARGET)), "row does not fit this build target");
constexpr int kPerLane = kRow.experts / kWarpThreads;
constexpr int kNoExpert = 0x7fffffff;
static_assert(kWarpThreads == 32);

// A lane's numbers of all experts, all under way at once; -infinity behind the last expert.
template <class T>
__device__ inline void load_experts(const T* row, int experts, int lane, float (&values)[kPerLane]) {
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
        const int expert = i * kWarpThreads + lane;
        values[i] = expert < experts ? ptx::to_float(row[expert]) : __uint_as_float(0xff800000u);
    }
}

__device__ inline void load_logits(const MoeRouteArgs& args, i64 token, int lane, float (&logits)[kPerLane]) {
    const i64 first = token * args.logits_stride;
    switch (args.dtype) {
        case DType::bf16:
            return load_experts(static_cast<const Bf16*>(args.logits) + first, args.experts, lane, logits);
        case DType::f16:
            return load_experts(static_cast<const Half*>(args.logits) + first, args.experts, lane, logits);
        default:
            return load_experts(static_cast<const float*>(args.logits) + first, args.experts, lane, logits);
    }
}

// The largest of a lane's keys, and the lowest expert that has it. 0 where no key is left.
struct Best {
    u32 key = 0;
    int id = kNoExpert;
};

__device__ inline Best lane_best(const u32 (&keys)[kPerLane], int lane) {
    Best best;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
        if (keys[i] > best.key) best = {keys[i], i * kWarpThreads + lane};
    }
    return best;
}

__device__ inline int warp_best(const Best& own) {
    const u32 key = __reduce_max_sync(~0u, own.key);
    return static_cast<int>(__reduce_min_sync(~0u, static_cast<u32>(own.key == key ? own.id : kNoExpert)));
}

// The two largest keys of a group, first in each lane and then in the warp, as the group's own key.
struct BestTwo {
    u32 first = 0, second = 0;

    __device__ void add(u32 key) {
        second = max(second, min(first, key));
        first = max(first, key);
    }
    __device__ u32 group_key(bool by_pairs, int lane) const {
        const u32 largest = __reduce_max_sync(~0u, first);
        float total = logit_of(largest);
        if (by_pairs) {
            // The lane that gives the largest one now gives its second.
            const bool gives = __ffs(__ballot_sync(~0u, first == largest)) - 1 == lane;
            total += logit_of(__reduce_max_sync(~0u, gives ? second : first));
        }
        return key_of(clean_logit(total));
    }
};

// Clears the keys of all experts but those of the best groups. Where groups are multiples of 32, a lane's
// experts of one group are neighbours, the same numbers in every lane.
__device__ inline void keep_best_groups(const MoeRouteArgs& args, u32 (&keys)[kPerLane], int lane) {
    const int size = args.experts / args.num_groups, run = size / kWarpThreads;
    const bool whole = size % kWarpThreads == 0, by_pairs = args.by_pairs && size > 1;
    int groups[kPerLane];
    Best own;  // of lane g: group g
    if (whole) {
        BestTwo two;
        int group = 0, left = run;
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) {
            groups[i] = group & 31;
            two.add(keys[i]);
            if (--left > 0) continue;
            const u32 key = two.group_key(by_pairs, lane);
            if (lane == group && group < args.num_groups) own = {key, group};
            two = {};
            left = run;
            ++group;
        }
    } else {
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) groups[i] = (i * kWarpThreads + lane) / size & 31;
        for (int group = 0; group < args.num_groups; ++group) {
            BestTwo two;
#pragma unroll
            for (int i = 0; i < kPerLane; ++i) two.add(groups[i] == group ? keys[i] : 0);
            const u32 key = two.group_key(by_pairs, lane);
            if (lane == group) own = {key, group};
        }
    }
    u32 kept = 0;
    for (int i = 0; i < args.top_groups; ++i) {
        const int best = warp_best(own);
        kept |= 1u << best;
        if (lane == best) own.key = 0;
    }
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
        // Behind the last expert there is no group, and no key.
        if ((kept >> groups[i] & 1) == 0) keys[i] = 0;
    }
}

// The score of a lane's expert, wherever it lies. -1: 0.
__device__ inline float score_at(const float (&scores)[kPerLane], int expert) {
    float found = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
        const float score = __shfl_sync(~0u, scores[i], expert & (kWarpThreads - 1));
        if (expert >> 5 == i) found = score;
    }
    return found;
}

__device__ inline void route_token(const MoeRouteArgs& args, i64 token, int lane) {
    float scores[kPerLane], bias[kPerLane] = {};
    u32 keys[kPerLane];
    load_logits(args, token, lane, scores);
    if (args.bias != nullptr) load_experts(args.bias, args.experts, lane, bias);
    float largest = -kLargestFloat;
    u32 num_nan = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
        num_nan += scores[i] != scores[i];
        scores[i] = clean_logit(scores[i]);
        largest = fmaxf(largest, scores[i]);
        keys[i] = i * kWarpThreads + lane < args.experts ? key_of(scores[i]) : 0;
    }
    if (args.nan_count != nullptr) {
        num_nan = warp_sum(num_nan);
        if (lane == 0 && num_nan > 0) atomicAdd(args.nan_count, static_cast<i32>(num_nan));
    }
    if (args.score == ExpertScore::softmax) largest = warp_max(largest);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
        scores[i] = route::score_of(args.score, scores[i], largest);
        sum += scores[i];
    }
    if (args.score == ExpertScore::softmax) {
        sum = warp_sum(sum);
        const float share = sum > 0 ? exact::reciprocal(sum) : 0.0f;
#pragma unroll
        for (int i = 0; i < kPerLane; ++i) scores[i] = exact::multiply(scores[i], share);
    }

    int id = -1;  // of lane j: the j-th
    if (args.table != nullptr) {
        const i32 row = args.token_ids != nullptr ? args.token_ids[token] : static_cast<i32>(token);
        if (lane < args.top_k && row >= 0 && row < args.table_rows) {
            id = args.table[i64{row} * args.top_k + lane];
            if (id < 0 || id >= args.experts) id = -1;
        }
    } else {
        if (chooses_by_score(args)) {
#pragma unroll
            for (int i = 0; i < kPerLane; ++i) {
                if (keys[i] > kMinusInfinityKey) keys[i] = key_of(clean_logit(scores[i] + bias[i]));
            }
        }
        if (args.num_groups > 1) keep_best_groups(args, keys, lane);
        Best own = lane_best(keys, lane);
        for (int j = 0; j < args.top_k; ++j) {
            const int best = warp_best(own);
            if (lane == j) id = best;
            if (own.id != best) continue;
#pragma unroll
            for (int i = 0; i < kPerLane; ++i) {
                if (i * kWarpThreads + lane == best) keys[i] = 0;
            }
            own = lane_best(keys, lane);
        }
    }
    float weight = score_at(scores, id);
    if (args.renormalize) {
        float total = 0;
        for (int j = 0; j < args.top_k; ++j) total += __shfl_sync(~0u, weight, j);
        weight = exact::multiply(weight, exact::reciprocal(total + 1e-20f));
    }
    if (lane >= args.top_k) return;
    args.ids[token * args.top_k + lane] = id;
    args.weights[token * args.top_k + lane] = exact::multiply(weight, args.scale);
}

}  // namespace warpwright

extern "C" __global__ void __launch_bounds__(warpwright::kRow.threads)
    WW_ENTRY(const __grid_constant__ warpwright::MoeRouteArgs args) {
    using namespace warpwright;
    // Of few tokens: where blocks fill the GPU, those of the next launch would wait in their places.
    const bool leaves_room = gridDim.x <= 16;
    const auto release = [] { ptx::release_successor(); };
    if (leaves_room) release();
    ptx::wait_for_predecessor();
    const int warp = threadIdx.x / kWarpThreads, lane = threadIdx.x % kWarpThreads;
    const i64 token = static_cast<i64>(blockIdx.x) * (kRow.threads / kWarpThreads) + warp;
    if (token < args.tokens) route_token(args, token, lane);
    if (!leaves_room) release();
}
