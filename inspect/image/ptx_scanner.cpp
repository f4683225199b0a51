// SPDX-License-Identifier: Apache-2.0
#include "inspect/image/ptx_scanner.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace warpwright::inspect {

namespace {

enum Kind : u8 { other = 0, space = 1, letter = 2 };

constexpr std::array<u8, 256> kKinds = [] {
    std::array<u8, 256> kinds{};
    for (const char c : {' ', '\t', '\n', '\r', '\f', '\v'}) kinds[static_cast<u8>(c)] = space;
    for (int c = '0'; c <= '9'; ++c) kinds[static_cast<size_t>(c)] = letter;
    for (int c = 'a'; c <= 'z'; ++c) kinds[static_cast<size_t>(c)] = letter;
    for (int c = 'A'; c <= 'Z'; ++c) kinds[static_cast<size_t>(c)] = letter;
    for (const char c : {'_', '$', '%', '.', ':'}) kinds[static_cast<u8>(c)] = letter;
    return kinds;
}();
Kind kind_of(char c) {
    return static_cast<Kind>(kKinds[static_cast<u8>(c)]);
}

}  // namespace

void PtxScanner::skip_space() {
    while (at_ < text_.size()) {
        if (kind_of(text_[at_]) == space) {
            ++at_;
            continue;
        }
        if (text_[at_] != '/' || at_ + 1 >= text_.size()) return;
        if (text_[at_ + 1] == '/') {
            line();
        } else if (text_[at_ + 1] == '*') {
            const size_t end = text_.find("*/", at_ + 2);
            at_ = end == text_.npos ? text_.size() : end + 2;
        } else {
            return;
        }
    }
}

std::string_view PtxScanner::word() {
    const size_t begin = at_;
    while (at_ < text_.size() && kind_of(text_[at_]) == letter) ++at_;
    return text_.substr(begin, at_ - begin);
}

u64 PtxScanner::number() {
    u64 value = 0;
    for (int digits = 0; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_, ++digits) {
        if (digits < 18) value = value * 10 + static_cast<u64>(text_[at_] - '0');
    }
    return value;
}

std::string_view PtxScanner::line() {
    const size_t begin = at_;
    const size_t end = std::min(text_.find('\n', at_), text_.size());
    at_ = std::min(end + 1, text_.size());
    return text_.substr(begin, end - begin);
}

std::string_view PtxScanner::until(char end) {
    const size_t begin = at_;
    const void* const found = std::memchr(text_.data() + at_, end, text_.size() - at_);
    const size_t first =
        found == nullptr ? text_.size() : static_cast<size_t>(static_cast<const char*>(found) - text_.data());
    const std::string_view statement = text_.substr(begin, first - begin);
    if (std::memchr(statement.data(), '/', statement.size()) == nullptr &&
        std::memchr(statement.data(), '"', statement.size()) == nullptr) {
        at_ = std::min(first + 1, text_.size());
        return statement;
    }
    while (at_ < text_.size()) {  // with a comment or a string, that may hold the mark
        const char c = text_[at_];
        if (c == end) {
            ++at_;
            return text_.substr(begin, at_ - 1 - begin);
        }
        if (c == '"') {
            at_ = std::min(text_.find('"', at_ + 1), text_.size() - 1) + 1;
            continue;
        }
        const size_t before = at_;
        if (c == '/') skip_space();
        if (at_ == before) ++at_;
    }
    return text_.substr(begin);
}

std::string_view PtxScanner::until_closed(char open, char close) {
    const size_t begin = at_;
    for (int depth = 1; at_ < text_.size();) {
        const char c = text_[at_];
        const size_t before = at_;
        if (c == '/') skip_space();
        if (at_ != before) continue;
        ++at_;
        if (c == open) ++depth;
        if (c == close && --depth == 0) return text_.substr(begin, at_ - 1 - begin);
    }
    return text_.substr(begin);
}

}  // namespace warpwright::inspect
