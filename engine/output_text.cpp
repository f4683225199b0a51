// SPDX-License-Identifier: Apache-2.0
#include "engine/output_text.h"

#include <algorithm>
#include <utility>

namespace warpwright {

StopStrings::StopStrings(const std::vector<std::string>& strings) {
    for (const std::string& text : strings) {
        Needle needle{text, std::vector<std::size_t>(text.size() + 1)};
        for (std::size_t i = 1, matched = 0; i < text.size(); ++i) {
            while (matched > 0 && text[i] != text[matched]) matched = needle.fallback[matched];
            if (text[i] == text[matched]) ++matched;
            needle.fallback[i + 1] = matched;
        }
        needles_.push_back(std::move(needle));
    }
}

std::string StopStrings::push(std::string_view text) {
    if (found()) return {};
    for (const char c : text) {
        held_ += c;
        for (Needle& needle : needles_) {
            while (needle.matched > 0 && needle.text[needle.matched] != c)
                needle.matched = needle.fallback[needle.matched];
            if (needle.text[needle.matched] == c) ++needle.matched;
            if (needle.matched == needle.text.size() && needle.matched > found_.size()) found_ = needle.text;
        }
        if (found()) {
            held_.resize(held_.size() - found_.size());
            return std::exchange(held_, {});
        }
    }
    std::size_t possible = 0;
    for (const Needle& needle : needles_) possible = std::max(possible, needle.matched);
    std::string certain = held_.substr(0, held_.size() - possible);
    held_.erase(0, certain.size());
    return certain;
}

std::string StopStrings::finish() {
    return std::exchange(held_, {});
}

OutputText::OutputText(const Tokenizer& tokenizer, OutputTextOptions options)
    : options_(std::move(options)), stream_(tokenizer), stops_(options_.stop) {}

std::string OutputText::show(std::string text) {
    if (stops_.found() && options_.include_stop && !ended_) text += stops_.which();
    ended_ = ended_ || stops_.found();
    text_ += text;
    return text;
}

std::string OutputText::push(const Token& token) {
    if (ended_) return {};
    if (token.finish == Finish::stop) return finish();
    const std::string text = stream_.push(token.token);
    const bool looked_at = ++num_tokens_ > options_.min_tokens;
    std::string shown = show(looked_at ? stops_.push(text) : text);
    return token.finish == Finish::running || ended_ ? shown : shown + finish();
}

std::string OutputText::finish() {
    if (ended_) return {};
    // The stream's rest may be what completes a stop string.
    std::string shown = show(stops_.push(stream_.finish()));
    if (ended_) return shown;
    ended_ = true;
    const std::string held = stops_.finish();
    text_ += held;
    return shown + held;
}

}  // namespace warpwright
