// SPDX-License-Identifier: Apache-2.0
// Sampling on the host: the thresholds of draw.h by selection and sorting, one row of logits at a time.
#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "device/host_threads.h"
#include "kernels/fused/sample/operation.h"
#include "kernels/fused/sample/philox.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

struct Token {
    u32 key;
    u64 weight;
};

// The k-th largest key.
u32 top_k_key(const std::vector<Token>& tokens, u32 k) {
    std::vector<u32> keys(tokens.size());
    std::transform(tokens.begin(), tokens.end(), keys.begin(), [](const Token& token) { return token.key; });
    std::nth_element(keys.begin(), keys.begin() + (k - 1), keys.end(), std::greater<>());
    return keys[k - 1];
}

// The largest key whose tokens and everything above them hold the share of the weight from `floor` on.
u32 top_p_key(const std::vector<Token>& tokens, u32 floor, u64 share) {
    std::vector<Token> kept;
    u64 weight = 0;
    for (const Token& token : tokens) {
        if (token.key < floor || token.weight == 0) continue;
        kept.push_back(token);
        weight += token.weight;
    }
    std::sort(kept.begin(), kept.end(), [](const Token& a, const Token& b) { return a.key > b.key; });
    const u64 needed = multiply_high(weight, share);
    u64 sum = 0;
    for (const Token& token : kept) {
        sum += token.weight;
        if (sum >= needed) return token.key;
    }
    return floor;
}

template <DType dtype>
i32 sample_row(const SampleArgs& args, i64 row) {
    std::vector<float> logits(static_cast<std::size_t>(args.vocabulary));
    for (i64 i = 0; i < args.vocabulary; ++i) {
        logits[static_cast<std::size_t>(i)] =
            clean_logit(load_float(args.logits, dtype, row * args.logits_stride + i));
    }
    const auto best = std::max_element(logits.begin(), logits.end());  // the first among equals
    const SampleFilters filters = make_filters(args.temperature[row], args.top_k[row], args.top_p[row],
                                               args.min_p[row], args.vocabulary);
    if (filters.greedy || key_of(*best) == kMinusInfinityKey) return static_cast<i32>(best - logits.begin());

    std::vector<Token> tokens(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
        tokens[i] = {key_of(logits[i]), weight_of(logits[i], *best, filters.scale)};
    }
    u32 floor = filters.top_k > 0 ? top_k_key(tokens, filters.top_k) : 0;
    if (filters.has_top_p) floor = top_p_key(tokens, floor, filters.top_p);

    const auto kept = [&](const Token& token) {
        return token.key >= floor && token.weight >= filters.min_weight ? token.weight : 0;
    };
    u64 total = 0;
    for (const Token& token : tokens) total += kept(token);
    const u64 bits = step_bits(static_cast<u32>(args.seeds[row * args.seeds_stride]),
                               static_cast<u32>(args.seeds[row * args.seeds_stride + 1]),
                               static_cast<u32>(args.steps[row]));
    const u64 target = multiply_high(total, bits);
    u64 sum = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        sum += kept(tokens[i]);
        if (sum > target) return static_cast<i32>(i);
    }
    return static_cast<i32>(best - logits.begin());
}

template <DType dtype>
void sample(const void* raw, HostThreads& threads) {
    const SampleArgs& args = *static_cast<const SampleArgs*>(raw);
    threads.parallel_for(args.rows, 1, [&](i64 begin, i64 end) {
        for (i64 row = begin; row < end; ++row) args.tokens[row] = sample_row<dtype>(args, row);
    });
}

}  // namespace

HostFunction SampleOp::host_function(const Row& row) {
    switch (row.dtype) {
        case DType::bf16: return sample<DType::bf16>;
        case DType::f16: return sample<DType::f16>;
        default: return sample<DType::f32>;
    }
}

}  // namespace warpwright
