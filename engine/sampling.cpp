// SPDX-License-Identifier: Apache-2.0
#include "engine/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>

namespace warpwright {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Status out_of_range(const char* what, const char* expected, double got) {
    return caller_error(fmt::format("{}: expected {}, got {}", what, expected, got));
}

}  // namespace

Status check_sampling(const SamplingParameters& s, i64 vocab_size) {
    // Each condition is written so that NaN fails it.
    if (!(s.temperature >= 0 && s.temperature < kInfinity))
        return out_of_range("temperature", "0 or more", s.temperature);
    if (!(s.top_p > 0 && s.top_p <= 1)) return out_of_range("top_p", "more than 0 and at most 1", s.top_p);
    if (!(s.min_p >= 0 && s.min_p <= 1)) return out_of_range("min_p", "0 to 1", s.min_p);
    if (!(s.repetition_penalty > 0 && s.repetition_penalty < kInfinity))
        return out_of_range("repetition_penalty", "more than 0", s.repetition_penalty);
    if (!(std::abs(s.presence_penalty) <= 2))
        return out_of_range("presence_penalty", "-2 to 2", s.presence_penalty);
    if (!(std::abs(s.frequency_penalty) <= 2))
        return out_of_range("frequency_penalty", "-2 to 2", s.frequency_penalty);
    if (s.logprobs && (*s.logprobs < 0 || *s.logprobs > vocab_size))
        return caller_error(fmt::format("logprobs: expected 0 to {}, got {}", vocab_size, *s.logprobs));
    std::unordered_set<i32> biased;
    for (const auto& [token, bias] : s.logit_bias) {
        if (token < 0 || token >= vocab_size) {
            return caller_error(
                fmt::format("logit_bias: token {} is outside the vocabulary of {}", token, vocab_size));
        }
        if (!(bias < kInfinity)) {
            return caller_error(
                fmt::format("logit_bias: expected a number or -inf for token {}, got {}", token, bias));
        }
        if (!biased.insert(token).second)
            return caller_error(fmt::format("logit_bias: token {} stands there twice", token));
    }
    return {};
}

Logprobs logprobs_of(std::span<const float> logits, i32 chosen, int num_top) {
    const float largest = *std::ranges::max_element(logits);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(double{logit} - largest);
    const double log_sum = largest + std::log(sum);
    const auto logprob = [&](i32 token) {
        return static_cast<float>(double{logits[static_cast<std::size_t>(token)]} - log_sum);
    };
    Logprobs result{logprob(chosen), {}};
    if (num_top == 0) return result;
    std::vector<i32> order(logits.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<i32>(i);
    const auto end = order.begin() + std::min<std::ptrdiff_t>(num_top, std::ssize(order));
    std::partial_sort(order.begin(), end, order.end(), [&](i32 a, i32 b) {
        const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
        return x != y ? x > y : a < b;
    });
    for (auto token = order.begin(); token != end; ++token) result.top.push_back({*token, logprob(*token)});
    return result;
}

bool LogitAdjustments::needed(const SamplingParameters& s, i64 min_tokens) {
    return s.repetition_penalty != 1 || s.presence_penalty != 0 || s.frequency_penalty != 0 ||
           !s.logit_bias.empty() || min_tokens > 0;
}

LogitAdjustments::LogitAdjustments(const SamplingParameters& sampling, std::span<const i32> prompt,
                                   std::span<const i32> ending, i64 min_tokens)
    : repetition_(sampling.repetition_penalty),
      presence_(sampling.presence_penalty),
      frequency_(sampling.frequency_penalty),
      min_tokens_(min_tokens) {
    for (const auto& [token, bias] : sampling.logit_bias) entry(token).bias = bias;
    if (min_tokens_ > 0) {
        for (const i32 token : ending) {
            if (index_.contains(token) && entry(token).bias == -kInfinity)
                continue;  // listed twice, or banned
            banned_.push_back({token, entry(token).bias});
            entry(token).bias = -kInfinity;
        }
    }
    if (repetition_ == 1) return;
    for (const i32 token : prompt) entry(token).repetition = repetition_;
}

LogitAdjustment& LogitAdjustments::entry(i32 token) {
    const auto [position, added] = index_.emplace(token, entries_.size());
    if (added) {
        entries_.push_back({.token = token});
        counts_.push_back(0);
    }
    return entries_[position->second];
}

void LogitAdjustments::push(i32 token) {
    if (repetition_ != 1 || presence_ != 0 || frequency_ != 0) {
        LogitAdjustment& changed = entry(token);
        const i64 count = ++counts_[index_.at(token)];
        changed.repetition = repetition_;
        changed.addend = -(frequency_ * static_cast<float>(count) + presence_);
    }
    if (++num_output_ != min_tokens_) return;
    for (const Banned& allowed : banned_) entry(allowed.token).bias = allowed.bias;
}

}  // namespace warpwright
