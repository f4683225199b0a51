// SPDX-License-Identifier: Apache-2.0
#include "inspect/diagnose/literals.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace warpwright::diagnose {
namespace {

// Walks over a pattern; knows of RE2's syntax what ends a run of literal characters.
class LiteralReader {
public:
    explicit LiteralReader(std::string_view pattern) : pattern_(pattern) {}

    std::vector<std::string> read() {
        while (at_ < pattern_.size()) step(pattern_[at_++]);
        end_alternative();
        return std::move(literals_);
    }

private:
    void step(char c) {
        switch (c) {
            case '|': end_alternative(); break;
            case '(': skip_group(); break;
            case '[': skip_class(); break;
            case '{':
                while (at_ < pattern_.size() && pattern_[at_++] != '}') continue;
                [[fallthrough]];
            case '*':
            case '?':
            case '+':  // the character before may be absent, or more than one; after a group there is none
                if (!run_.empty()) run_.pop_back();
                end_run();
                break;
            case '.':
            case '^':
            case '$': end_run(); break;
            case '\\': escape(); break;
            default: run_ += c; break;
        }
    }

    void escape() {
        if (at_ == pattern_.size()) return;
        const char c = pattern_[at_++];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
            end_run();  // \d, \b, ...
        else
            run_ += c;
    }

    void skip_class() {
        if (at_ < pattern_.size() && pattern_[at_] == '^') ++at_;
        if (at_ < pattern_.size() && pattern_[at_] == ']') ++at_;
        for (; at_ < pattern_.size() && pattern_[at_] != ']'; ++at_)
            if (pattern_[at_] == '\\') ++at_;
        ++at_;
        end_run();
    }

    void skip_group() {
        end_run();
        for (int depth = 1; at_ < pattern_.size() && depth > 0;) {
            const char c = pattern_[at_++];
            if (c == '\\') ++at_;
            if (c == '[') skip_class();
            depth += c == '(' ? 1 : c == ')' ? -1 : 0;
        }
    }

    void end_run() {
        if (run_.size() > longest_.size()) longest_ = run_;
        run_.clear();
    }
    void end_alternative() {
        end_run();
        literals_.push_back(std::move(longest_));
        longest_.clear();
    }

    std::string_view pattern_;
    size_t at_ = 0;
    std::string run_, longest_;
    std::vector<std::string> literals_;
};

}  // namespace

std::vector<std::string> required_literals(std::string_view pattern) {
    return LiteralReader(pattern).read();
}

LiteralScanner::LiteralScanner(const std::vector<std::string>& literals) : literals_(literals) {
    if (literals_.empty()) throw std::logic_error("literal scanner: expected literals, got none");
    std::ranges::sort(literals_);
    literals_.erase(std::unique(literals_.begin(), literals_.end()), literals_.end());
    window_ = literals_.front().size();
    for (const std::string& literal : literals_) window_ = std::min(window_, literal.size());
    if (window_ < kMinLiteral)
        throw std::logic_error(fmt::format(
            "literal scanner: expected literals of {} characters, got one of {}", kMinLiteral, window_));
    window_ = std::min<size_t>(window_, 255);
    shift_.fill(static_cast<u8>(window_ - 2));
    for (const std::string& literal : literals_) {
        const std::string padded = '\0' + literal;  // hash() reads a character that it does not count
        for (size_t end = 3; end <= window_; ++end) {
            u8& shift = shift_[hash(padded.data() + 1 + end)];
            shift = std::min(shift, static_cast<u8>(window_ - end));
        }
    }
    const auto hash_of = [&](const std::string& literal) { return hash(literal.data() + window_); };
    std::ranges::stable_sort(literals_, {}, hash_of);
    for (const std::string& literal : literals_) hashes_.push_back(hash_of(literal));
}

size_t LiteralScanner::find(std::string_view text, size_t from, size_t to) const {
    const char* const begin = text.data();
    const char* const last = begin + text.size();
    if (text.size() < window_ || to > text.size() || from >= to) return text.size();
    // Windows end here; those that begin at `to` or later are not asked for.
    const char* const limit = std::min(last, begin + to + window_ - 1);
    for (const char* end = begin + from + window_; end <= limit;) {
        const u8 shift = shift_[hash(end)];
        if (shift != 0) {
            end += shift;
            continue;
        }
        const char* const start = end - window_;
        const auto [first, behind] = std::ranges::equal_range(hashes_, hash(end));
        for (auto at = first; at != behind; ++at) {
            const std::string& literal = literals_[static_cast<size_t>(at - hashes_.begin())];
            if (literal.size() <= static_cast<size_t>(last - start) &&
                std::memcmp(start, literal.data(), literal.size()) == 0)
                return static_cast<size_t>(start - begin);
        }
        ++end;
    }
    return text.size();
}

}  // namespace warpwright::diagnose
