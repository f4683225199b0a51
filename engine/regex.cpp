// SPDX-License-Identifier: Apache-2.0
#include "engine/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <ctime>

#include "engine/unicode_ranges.h"
#include "engine/utf8.h"

namespace warpwright {
namespace {

constexpr std::size_t kMaxJitStackBytes = 16 << 20;
constexpr std::size_t kMaxPatternBytes = 64 << 10;

// Against patterns that backtrack without end. The match limit bounds one start position, and only so many
// are tried between looks at the clock. Real patterns take a second for 50 MB at least.
constexpr u32 kMatchLimit = 1'000'000;
constexpr std::size_t kStartsPerCall = 1024;
constexpr double kBaseSeconds = 1;  // of this thread's own time
constexpr double kSecondsPerMegabyte = 2;

double thread_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct MatchState {  // one per thread: PCRE2's matcher writes into it
    pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
    pcre2_match_context* context = pcre2_match_context_create(nullptr);
    pcre2_jit_stack* stack = pcre2_jit_stack_create(64 << 10, kMaxJitStackBytes, nullptr);

    MatchState() {
        pcre2_jit_stack_assign(context, nullptr, stack);
        pcre2_set_match_limit(context, kMatchLimit);
        pcre2_set_heap_limit(context, kMaxJitStackBytes >> 10);  // KiB, of the interpreter
    }
    MatchState(const MatchState&) = delete;
    MatchState& operator=(const MatchState&) = delete;
    ~MatchState() {
        pcre2_jit_stack_free(stack);
        pcre2_match_context_free(context);
        pcre2_match_data_free(data);
    }
};

std::string message_of(int code) {
    PCRE2_UCHAR text[128];
    pcre2_get_error_message(code, text, sizeof text);
    return reinterpret_cast<const char*>(text);
}

// Oniguruma's reading of a pattern, spelled for PCRE2:
//   \s \S  White_Space; PCRE2's \s also takes U+180E
//   \w \W  Alphabetic, marks, decimal digits and connectors; PCRE2's is letters, numbers and '_'
//   \d \D and \p{..} of a general category or Han: with what PCRE2's older tables lack
// Refused: "{m,n}+" (a repeated repeat there, possessive here), nested and intersected classes, and what the
// two know under one name with two meanings.
class Translator {
public:
    explicit Translator(std::string_view pattern) : pattern_(pattern) {}

    Result<std::string> run() {
        while (at_ < pattern_.size()) WW_TRY(step());
        return out_;
    }

private:
    Status refuse(std::size_t at, std::string_view what) const {
        return caller_error(
            fmt::format("regex '{:.200}': {} at byte {} is not supported", pattern_, what, at));
    }

    // The characters of `inside`, a class's content, or all others.
    Status members(const std::string& inside, bool negated, std::size_t at) {
        if (in_class_ && negated) return refuse(at, "a negated property in a class");
        out_ += in_class_ ? inside : fmt::format("[{}{}]", negated ? "^" : "", inside);
        return {};
    }

    Status escape() {
        const std::size_t start = at_;
        const char next = pattern_[at_ + 1];
        at_ += 2;
        switch (next) {
            case 's': out_ += "\\p{White_Space}"; return {};
            case 'S': out_ += "\\P{White_Space}"; return {};
            case 'w':
            case 'W':
                // Oniguruma has a table of its own for Latin-1, and asks it outside of classes only.
                return members("\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}" + ranges_missing_from("word") +
                                   (in_class_ ? "" : "\u00b2\u00b3\u00b9\u00bc\u00bd\u00be"),
                               next == 'W', start);
            case 'd':
            case 'D': return members("\\p{Nd}" + ranges_missing_from("Nd"), next == 'D', start);
            case 'h':
            case 'H': return refuse(start, fmt::format("\\{}", next));
            case 'p':
            case 'P': break;
            default: out_.append({'\\', next}); return {};
        }
        const std::size_t end = pattern_.find('}', at_);
        if (at_ == pattern_.size() || pattern_[at_] != '{' || end == pattern_.npos) {
            return refuse(start, "a property without braces");
        }
        const std::string_view name = pattern_.substr(at_ + 1, end - at_ - 1);
        // Longer names are those of scripts, which PCRE2 reads as script extensions.
        if (name.starts_with('^') || (name.size() > 2 && name != "Han")) {
            return refuse(start, fmt::format("\\{}{{{:.40}}}", next, name));
        }
        at_ = end + 1;
        const std::string missing = ranges_missing_from(name);
        if (missing.empty()) {
            out_ += fmt::format("\\{}{{{}}}", next, name);
            return {};
        }
        return members(fmt::format("\\p{{{}{}}}{}", name == "Han" ? "sc:" : "", name, missing), next == 'P',
                       start);
    }

    Status in_class() {
        const char c = pattern_[at_];
        const bool first = at_ == class_start_ + 1 || (at_ == class_start_ + 2 && pattern_[at_ - 1] == '^');
        if (pattern_.substr(at_).starts_with("&&")) return refuse(at_, "an intersection of classes");
        if (c == ']' && first) return refuse(at_, "']' at the start of a class");
        if (c == '[') {
            if (!pattern_.substr(at_).starts_with("[:")) return refuse(at_, "a class in a class");
            return refuse(at_, "[:name:]");
        }
        in_class_ = c != ']';
        out_ += c;
        ++at_;
        return {};
    }

    Status step() {
        const char c = pattern_[at_];
        if (c == '\\' && at_ + 1 < pattern_.size()) return escape();
        if (in_class_) return in_class();
        if (c == '[') {
            in_class_ = true;
            class_start_ = at_;
        } else if (c == '+' && at_ > 0 && pattern_[at_ - 1] == '}' && !out_.ends_with("\\}")) {
            // "\p{L}+" ends in a brace as well, "{1,3}+" is the one that differs.
            const std::size_t open = pattern_.rfind('{', at_);
            const bool property = open != pattern_.npos && open >= 2 && pattern_[open - 2] == '\\';
            if (!property) return refuse(at_, "'+' behind '}'");
        } else if (pattern_.substr(at_).starts_with("(?")) {
            const std::size_t end = pattern_.find_first_not_of("imx-", at_ + 2);
            if (pattern_.substr(at_, end - at_).find('m') != pattern_.npos) {
                return refuse(at_, "the option m");
            }
        }
        out_ += c;
        ++at_;
        return {};
    }

    std::string_view pattern_;
    std::string out_;
    std::size_t at_ = 0;
    std::size_t class_start_ = 0;
    bool in_class_ = false;
};

}  // namespace

Result<Regex> Regex::compile(std::string_view pattern) {
    if (pattern.size() > kMaxPatternBytes) {
        return caller_error(fmt::format("regex '{:.40}...': expected at most {} bytes, got {}", pattern,
                                        kMaxPatternBytes, pattern.size()));
    }
    WW_ASSIGN(const std::string translated, Translator(pattern).run());
    int error = 0;
    PCRE2_SIZE offset = 0;
    // Ruby's ^ and $ are line anchors.
    pcre2_code* code = pcre2_compile(
        reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
        PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT, &error,
        &offset, nullptr);
    if (code == nullptr) {
        return caller_error(fmt::format("regex '{:.200}': {}", pattern, message_of(error)));
    }
    // Where a system forbids memory that is written and executed, the interpreter gives the same matches.
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    Regex regex;
    regex.code_ = std::shared_ptr<const pcre2_code>(
        code, [](const pcre2_code* owned) { pcre2_code_free(const_cast<pcre2_code*>(owned)); });
    return regex;
}

std::string Regex::escape(std::string_view literal) {
    std::string out;
    for (const char c : literal) {
        if (std::string_view("\\^$.[]|()?*+{}-&# ").find(c) != std::string_view::npos) out += '\\';
        out += c;
    }
    return out;
}

Result<std::vector<Regex::Match>> Regex::find_all(std::string_view text) const {
    static thread_local MatchState state;
    const double limit = kBaseSeconds + kSecondsPerMegabyte * 1e-6 * static_cast<double>(text.size());
    const double start = thread_seconds();
    std::vector<Match> matches;
    std::size_t at = 0;
    std::size_t looked = 0;  // the clock was, at this position
    while (at <= text.size()) {
        if (at - looked >= kStartsPerCall) {
            looked = at;
            if (thread_seconds() - start > limit) {
                return caller_error(
                    fmt::format("regex: expected to match {} bytes within {:.1f} s, got to byte {}",
                                text.size(), limit, at));
            }
        }
        const std::size_t last = std::min(at + kStartsPerCall, text.size());
        pcre2_set_offset_limit(state.context, last);
        const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                      PCRE2_NO_UTF_CHECK, state.data, state.context);
        if (found == PCRE2_ERROR_NOMATCH) {
            if (last == text.size()) break;
            at = last;
            while ((static_cast<u8>(text[at]) & 0xC0) == 0x80) ++at;
            continue;
        }
        if (found < 0) {
            return caller_error(
                fmt::format("regex: {}, at byte {} of {}", message_of(found), at, text.size()));
        }
        const PCRE2_SIZE* span = pcre2_get_ovector_pointer(state.data);
        const Match match{span[0], span[1]};
        if (match.begin == match.end && !matches.empty() && matches.back().end == match.end) {
            at += at < text.size() ? first_character(text.substr(at)).length : 1;
            continue;
        }
        at = match.end;
        matches.push_back(match);
    }
    return matches;
}

}  // namespace warpwright
