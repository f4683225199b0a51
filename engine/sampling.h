// SPDX-License-Identifier: Apache-2.0
// How the next token of a sequence is chosen, and what is reported about the choice.
//
// A row of logits is changed in this order, which is vLLM's:
//   bias                   logit += bias; -infinity bans the token
//   min_tokens             the tokens that would end the text are banned until the output has that many
//   repetition penalty r   of every token of the prompt or the output: logit > 0 ? logit / r : logit x r
//   frequency, presence    logit -= frequency x n + presence, for a token that the output has n > 0 times
// and then temperature, top-k, top-p, min-p and the draw as in warpwright/ops/sample.h.
// Log-probabilities are those of the model: of the logits before all of this (but after a softcap that is the
// model's own), at temperature 1.
#pragma once

#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

struct SamplingParameters {
    float temperature = 0;  // 0: greedy
    int top_k = 0;          // 0: off
    float top_p = 1;        // 1: off
    float min_p = 0;        // 0: off
    // The draws of a sequence are a function of its seed and of how many tokens it has written: not of the
    // batch, nor of its place in it.
    u64 seed = 0;
    float repetition_penalty = 1;                   // 1: off
    float presence_penalty = 0;                     // 0: off
    float frequency_penalty = 0;                    // 0: off
    std::vector<std::pair<i32, float>> logit_bias;  // each token at most once
    std::optional<int> logprobs;  // of the chosen token and of this many of the likeliest; nothing: none
};

// Caller errors: values outside of their ranges, tokens outside of the vocabulary.
Status check_sampling(const SamplingParameters& sampling, i64 vocab_size);

struct TokenLogprob {
    i32 token = 0;
    float logprob = 0;  // natural logarithm
};

// The chosen token's log-probability, and the likeliest tokens', in descending order, the lower id first
// among equals. Sums are fp64.
struct Logprobs {
    float chosen = 0;
    std::vector<TokenLogprob> top;
};
Logprobs logprobs_of(std::span<const float> logits, i32 chosen, int num_top);

// An entry of warpwright/ops/logits.h: bias, then repetition, then addend.
struct LogitAdjustment {
    i32 token = 0;
    float bias = 0;
    float repetition = 1;
    float addend = 0;
};

// What one sequence changes in its row of logits: at most one entry a token. Kept as the output grows.
class LogitAdjustments {
public:
    // `ending`: tokens that end the text, banned until the output has `min_tokens`.
    LogitAdjustments(const SamplingParameters& sampling, std::span<const i32> prompt,
                     std::span<const i32> ending, i64 min_tokens);

    // Whether these parameters change anything at all.
    static bool needed(const SamplingParameters& sampling, i64 min_tokens);

    void push(i32 token);  // one more token of the output
    std::span<const LogitAdjustment> entries() const { return entries_; }

private:
    struct Banned {
        i32 token;
        float bias;  // once it is allowed
    };
    LogitAdjustment& entry(i32 token);

    float repetition_, presence_, frequency_;
    i64 num_output_ = 0, min_tokens_;
    std::vector<Banned> banned_;  // until min_tokens_
    std::vector<LogitAdjustment> entries_;
    std::vector<i64> counts_;                     // of each entry's token, in the output
    std::unordered_map<i32, std::size_t> index_;  // of a token among the entries
};

}  // namespace warpwright
