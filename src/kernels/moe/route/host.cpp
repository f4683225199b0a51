// SPDX-License-Identifier: Apache-2.0
// Routing on the host: the kernel's arithmetic, token by token.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include "device/host_threads.h"
#include "kernels/host_math.h"
#include "kernels/moe/route/operation.h"
#include "kernels/moe/route/score.h"

namespace warpwright {
namespace {

using Scores = std::array<float, kMaxExperts>;
using Keys = std::array<u32, kMaxExperts>;  // 0: cannot be chosen

// Parts by halves: what a warp's butterfly adds.
float sum_of(const Scores& scores, i32 experts) {
    std::array<float, route::kSumParts> parts{};
    for (i32 i = 0; i < experts; ++i)
        parts[static_cast<std::size_t>(i) % parts.size()] += scores[static_cast<std::size_t>(i)];
    for (std::size_t half = parts.size() / 2; half > 0; half /= 2) {
        for (std::size_t i = 0; i < half; ++i) parts[i] += parts[i + half];
    }
    return parts[0];
}

// Scores of one token's logits, and choices where they are the logits themselves.
void score_experts(const MoeRouteArgs& args, i64 token, Scores& scores, Keys& keys) {
    float largest = -kLargestFloat;
    i32 num_nan = 0;
    for (i32 i = 0; i < args.experts; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const float logit = load_float(args.logits, args.dtype, token * args.logits_stride + i);
        if (std::isnan(logit)) ++num_nan;
        scores[at] = clean_logit(logit);
        largest = std::max(largest, scores[at]);
        keys[at] = key_of(scores[at]);
    }
    if (args.nan_count != nullptr && num_nan > 0) std::atomic_ref<i32>(*args.nan_count) += num_nan;
    for (i32 i = 0; i < args.experts; ++i) {
        float& score = scores[static_cast<std::size_t>(i)];
        score = route::score_of(args.score, score, largest);
    }
    if (args.score != ExpertScore::softmax) return;
    const float sum = sum_of(scores, args.experts), share = sum > 0 ? exact::reciprocal(sum) : 0;
    for (i32 i = 0; i < args.experts; ++i) {
        float& score = scores[static_cast<std::size_t>(i)];
        score = exact::multiply(score, share);
    }
}

// The first of the largest keys.
template <std::size_t size>
std::size_t best_of(const std::array<u32, size>& keys, i32 count) {
    return static_cast<std::size_t>(std::max_element(keys.begin(), keys.begin() + count) - keys.begin());
}

void keep_best_groups(const MoeRouteArgs& args, Keys& keys) {
    const i32 size = args.experts / args.num_groups;
    std::array<u32, kMaxExpertGroups> groups{};
    for (i32 group = 0; group < args.num_groups; ++group) {
        u32 first = 0, second = 0;
        for (i32 i = group * size; i < (group + 1) * size; ++i) {
            const u32 key = keys[static_cast<std::size_t>(i)];
            second = std::max(second, std::min(first, key));
            first = std::max(first, key);
        }
        float total = logit_of(first);
        if (args.by_pairs && size > 1) total += logit_of(second);
        groups[static_cast<std::size_t>(group)] = key_of(clean_logit(total));
    }
    std::array<bool, kMaxExpertGroups> kept{};
    for (i32 i = 0; i < args.top_groups; ++i) {
        const std::size_t best = best_of(groups, args.num_groups);
        kept[best] = true;
        groups[best] = 0;
    }
    for (i32 i = 0; i < args.experts; ++i) {
        if (!kept[static_cast<std::size_t>(i / size)]) keys[static_cast<std::size_t>(i)] = 0;
    }
}

void add_bias(const MoeRouteArgs& args, const Scores& scores, Keys& keys) {
    for (i32 i = 0; i < args.experts; ++i) {
        const auto at = static_cast<std::size_t>(i);
        if (keys[at] == kMinusInfinityKey) continue;
        keys[at] = key_of(clean_logit(scores[at] + (args.bias != nullptr ? args.bias[i] : 0.0f)));
    }
}

void route_token(const MoeRouteArgs& args, i64 token) {
    Scores scores;  // NOLINT: the first `experts` are written
    Keys keys;      // NOLINT
    score_experts(args, token, scores, keys);
    i32* ids = args.ids + token * args.top_k;
    float* weights = args.weights + token * args.top_k;
    if (args.table != nullptr) {
        const i64 row = args.token_ids != nullptr ? args.token_ids[token] : token;
        const bool known = row >= 0 && row < args.table_rows;
        for (i32 j = 0; j < args.top_k; ++j) {
            const i32 id = known ? args.table[row * args.top_k + j] : -1;
            ids[j] = id >= 0 && id < args.experts ? id : -1;
        }
    } else {
        if (chooses_by_score(args)) add_bias(args, scores, keys);
        if (args.num_groups > 1) keep_best_groups(args, keys);
        for (i32 j = 0; j < args.top_k; ++j) {
            const std::size_t best = best_of(keys, args.experts);
            ids[j] = static_cast<i32>(best);
            keys[best] = 0;
        }
    }
    float total = 0;
    for (i32 j = 0; j < args.top_k; ++j) {
        weights[j] = ids[j] < 0 ? 0 : scores[static_cast<std::size_t>(ids[j])];
        total += weights[j];
    }
    const float share = args.renormalize ? exact::reciprocal(total + 1e-20f) : 1;
    for (i32 j = 0; j < args.top_k; ++j) {
        weights[j] = exact::multiply(exact::multiply(weights[j], share), args.scale);
    }
}

void moe_route(const void* raw, HostThreads& threads) {
    const MoeRouteArgs& args = *static_cast<const MoeRouteArgs*>(raw);
    constexpr i64 kTokensOfTask = 16;
    threads.parallel_for(args.tokens, kTokensOfTask, [&](i64 begin, i64 end) {
        for (i64 token = begin; token < end; ++token) route_token(args, token);
    });
}

}  // namespace

HostFunction MoeRouteOp::host_function(const Row&) {
    return moe_route;
}

}  // namespace warpwright
