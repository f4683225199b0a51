// SPDX-License-Identifier: Apache-2.0
#include "inspect/diagnose/matcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace warpwright::diagnose {
namespace {

constexpr i64 kSetBytes = 64 << 20;  // at most, of the automaton; it grows by what it meets

re2::RE2::Options options() {
    re2::RE2::Options options;
    options.set_encoding(re2::RE2::Options::EncodingLatin1);  // a log may hold any byte
    options.set_log_errors(false);
    options.set_dot_nl(false);
    options.set_max_mem(kSetBytes);
    return options;
}

[[noreturn]] void broken(std::string_view pattern, std::string_view what) {
    throw std::logic_error(fmt::format("data/failures.toml: pattern '{}': {}", pattern, what));
}

std::unique_ptr<re2::RE2> compile(const std::string& pattern) {
    auto compiled = std::make_unique<re2::RE2>(pattern, options());
    if (!compiled->ok()) broken(pattern, compiled->error());
    return compiled;
}

re2::StringPiece piece(std::string_view text) {
    return {text.data(), text.size()};
}

}  // namespace

Matcher::Matcher(const Catalogue& catalogue, int compute_capability)
    : compute_capability_(compute_capability),
      origins_(catalogue),
      set_(std::make_unique<re2::RE2::Set>(options(), re2::RE2::UNANCHORED)) {
    for (const Failure& failure : catalogue.failures)
        for (const std::string& text : failure.patterns) patterns_.push_back({text, &failure, nullptr});
    for (const Sign& sign : catalogue.signs) patterns_.push_back({sign.pattern, nullptr, &sign});
    std::vector<std::string> literals;
    for (const Pattern& pattern : patterns_) {
        std::string error;
        if (set_->Add(pattern.text, &error) < 0) broken(pattern.text, error);
        for (std::string& literal : required_literals(pattern.text)) {
            if (literal.size() < LiteralScanner::kMinLiteral)
                broken(pattern.text,
                       fmt::format("expected a literal of {} characters in every alternative, got '{}'",
                                   LiteralScanner::kMinLiteral, literal));
            literals.push_back(std::move(literal));
        }
    }
    if (!set_->Compile()) broken("all", "too large together");
    scanner_ = std::make_unique<LiteralScanner>(literals);
}

Match Matcher::match(const LogLine& line, std::string_view text) {
    std::vector<int> hits;
    re2::RE2::Set::ErrorInfo error{};
    Match match;
    if (!set_->Match(piece(text), &hits, &error)) {
        if (error.kind != re2::RE2::Set::kOutOfMemory) return match;
        hits.resize(patterns_.size());  // each one alone needs less
        for (size_t i = 0; i < hits.size(); ++i) hits[i] = static_cast<int>(i);
    }
    std::ranges::sort(hits);
    for (const int hit : hits) {
        Pattern& pattern = patterns_[static_cast<size_t>(hit)];
        if (pattern.failure == nullptr && match.elsewhere != nullptr) break;
        if (!matches(pattern, text, line.num_seen, match)) continue;
        if (pattern.failure == nullptr) {
            match.sign = pattern.sign;
            break;
        }
        const Failure& failure = *pattern.failure;
        if (failure.last_line && !line.ends_log) continue;
        if (failure.needs_gpu && (compute_capability_ == 0 || !failure.applies_to(compute_capability_)))
            continue;
        if (!is_near(failure, line)) continue;
        if (compute_capability_ != 0 && !failure.applies_to(compute_capability_)) {
            if (match.elsewhere != nullptr) continue;
            match.elsewhere = &failure;
            match.library = failure.library;
            continue;
        }
        name_library(failure, line, match);
        if (!failure.of.empty() && failure.of != match.library) continue;
        match.failure = &failure;
        match.elsewhere = nullptr;
        break;
    }
    return match;
}

bool Matcher::matches(Pattern& pattern, std::string_view text, size_t num_seen, Match& match) {
    if (!pattern.compiled) pattern.compiled = compile(pattern.text);
    const re2::RE2& expression = *pattern.compiled;
    std::vector<re2::StringPiece> groups(static_cast<size_t>(expression.NumberOfCapturingGroups()) + 1);
    // What ends in the part that was seen before was reported with it.
    for (size_t from = 0;;) {
        if (!expression.Match(piece(text), from, text.size(), re2::RE2::UNANCHORED, groups.data(),
                              static_cast<int>(groups.size())))
            return false;
        match.begin = static_cast<size_t>(groups[0].data() - text.data());
        match.end = match.begin + groups[0].size();
        if (match.end > num_seen) break;
        from = match.begin + 1;
    }
    match.groups.clear();
    for (const auto& [name, index] : expression.NamedCapturingGroups())
        match.groups[name] = std::string(groups[static_cast<size_t>(index)]);
    return true;
}

bool Matcher::is_near(const Failure& failure, const LogLine& line) {
    if (failure.near.empty()) return true;
    // The three are neighbours in one buffer.
    const std::string_view around(line.before.data(),
                                  line.before.size() + line.text.size() + line.after.size());
    return std::ranges::any_of(failure.near, [&](const std::string& pattern) {
        std::unique_ptr<re2::RE2>& compiled = near_[pattern];
        if (!compiled) compiled = compile(pattern);
        return re2::RE2::PartialMatch(piece(around), *compiled);
    });
}

void Matcher::name_library(const Failure& failure, const LogLine& line, Match& match) {
    match.library = failure.library;
    match.named_by.clear();
    if (!failure.library.empty() && failure.of.empty()) return;
    LogLine own = line;
    Last& last = last_[&failure];
    const bool repeats =
        last.end != 0 && last.end <= line.offset && line.offset - last.end < line.before.size();
    if (repeats) own.before = line.before.substr(line.before.size() - (line.offset - last.end));
    const auto named = origins_.find(own);
    if (named) last = {0, named->origin->library, std::string(named->line)};
    if (!named && !repeats) last = {};
    last.end = line.offset + line.text.size();
    match.library = last.library;
    match.named_by = last.named_by;
}

}  // namespace warpwright::diagnose
