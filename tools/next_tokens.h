// SPDX-License-Identifier: Apache-2.0
// How well a model, as the engine runs it, predicts the tokens of texts: what perplexity.cpp and
// kv_perplexity.cpp share. Every line of a file is a text of its own, between the model's first and last
// token; all tokens but the first are predicted. Every beginning of a text is a request for one token; pages
// hold one token each, so that a request finds those of the shorter ones in the cache, and every token goes
// through the model once.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <span>

#include "engine/engine.h"
#include "engine/tokenizer.h"

namespace warpwright {

using Texts = std::vector<std::vector<i32>>;  // token ids, the first and the last included

inline Result<Texts> read_texts(const ModelConfig& config, const std::string& model, const std::string& path,
                                i64 most_lines) {
    if (!config.bos_token || config.eos_tokens.empty())
        return caller_error(fmt::format("{}: expected a first and a last token", model));
    WW_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(model));
    std::ifstream file(path);
    if (!file) return caller_error(fmt::format("{}: cannot be read", path));
    Texts texts;
    for (std::string line; std::ssize(texts) < most_lines && std::getline(file, line);) {
        std::vector<i32>& text = texts.emplace_back(1, *config.bos_token);
        WW_ASSIGN(const std::vector<i32> ids, tokenizer.encode(line, false));
        text.insert(text.end(), ids.begin(), ids.end());
        text.push_back(config.eos_tokens.front());
    }
    return texts;
}

inline EngineOptions prediction_options(const ModelConfig& config, i64 cache_tokens) {
    constexpr i64 kSequences = 512;
    return {.max_sequences = kSequences,
            .max_context_tokens = std::min<i64>(config.max_position_tokens, 512),
            .page_size_tokens = 1,
            .cache_tokens = cache_tokens};
}

// Calls each(logits, next token) for every beginning of every text.
template <class Each>
Status predict(Engine& engine, const Texts& texts, const Each& each) {
    constexpr std::size_t kLinesAtOnce = 64;
    for (std::size_t begin = 0; begin < texts.size(); begin += kLinesAtOnce) {
        std::map<int, i32> next;  // by sequence
        for (std::size_t i = begin; i < std::min(begin + kLinesAtOnce, texts.size()); ++i) {
            for (std::size_t length = 1; length < texts[i].size(); ++length) {
                const auto prefix = std::span(texts[i]).first(length);
                WW_ASSIGN(const int sequence, engine.add({.prompt = {prefix.begin(), prefix.end()},
                                                          .max_tokens = 1,
                                                          .stop_at_eos = false}));
                next[sequence] = texts[i][length];
            }
        }
        while (!engine.idle()) {
            WW_ASSIGN(const std::vector<Token> tokens, engine.step());
            WW_ASSIGN(const std::vector<float> logits, engine.last_logits());
            const std::vector<int>& sequences = engine.last_sequences();
            const std::size_t vocabulary = logits.size() / sequences.size();
            std::map<int, std::size_t> row_of;
            for (std::size_t row = 0; row < sequences.size(); ++row) row_of[sequences[row]] = row;
            for (const Token& token : tokens)
                each(std::span(logits).subspan(row_of.at(token.sequence) * vocabulary, vocabulary),
                     next.at(token.sequence));
        }
    }
    return {};
}

// Sums -log p of the tokens that came.
class Loss {
public:
    void add(std::span<const float> logits, i32 next) {
        const double most = *std::max_element(logits.begin(), logits.end());
        double total = 0;
        for (const float logit : logits) total += std::exp(logit - most);
        nats_ += most + std::log(total) - logits[static_cast<std::size_t>(next)];
        ++count_;
    }
    double perplexity() const { return std::exp(nats_ / static_cast<double>(count_)); }
    i64 count() const { return count_; }

private:
    double nats_ = 0;
    i64 count_ = 0;
};

}  // namespace warpwright
