// SPDX-License-Identifier: Apache-2.0
#include "engine/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include "engine/utf8.h"

namespace warpwright {
namespace {

constexpr std::size_t kMaxJitStackBytes = 16 << 20;

struct MatchState {  // one per thread: PCRE2's matcher writes into it
    pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
    pcre2_match_context* context = pcre2_match_context_create(nullptr);
    pcre2_jit_stack* stack = pcre2_jit_stack_create(64 << 10, kMaxJitStackBytes, nullptr);

    MatchState() { pcre2_jit_stack_assign(context, nullptr, stack); }
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
// Refused: "{m,n}+" (a repeated repeat there, possessive here), nested and intersected classes.
Result<std::string> translate(std::string_view pattern) {
    constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
    std::string out;
    bool in_class = false;
    std::size_t class_start = 0;
    const auto refuse = [&](std::size_t at, std::string_view what) {
        return caller_error(
            fmt::format("regex '{:.200}': {} at byte {} is not supported", pattern, what, at));
    };
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (c == '\\' && i + 1 < pattern.size()) {
            const char next = pattern[++i];
            if (next == 's')
                out += "\\p{White_Space}";
            else if (next == 'S')
                out += "\\P{White_Space}";
            else if (next == 'w')
                out += in_class ? std::string(kWord) : fmt::format("[{}]", kWord);
            else if (next == 'W' && !in_class)
                out += fmt::format("[^{}]", kWord);
            else if (next == 'W')
                return refuse(i - 1, "\\W in a class");
            else
                out.append({c, next});
            continue;
        }
        if (in_class) {
            const bool first = i == class_start + 1 || (i == class_start + 2 && pattern[i - 1] == '^');
            if (c == '[' && !pattern.substr(i).starts_with("[:")) return refuse(i, "a class in a class");
            if (pattern.substr(i).starts_with("&&")) return refuse(i, "an intersection of classes");
            if (c == ']' && first) return refuse(i, "']' at the start of a class");
            if (c == '[') {  // [:name:]
                const std::size_t end = pattern.find(":]", i);
                if (end == pattern.npos) return refuse(i, "an unfinished [:name:]");
                out += pattern.substr(i, end + 2 - i);
                i = end + 1;
                continue;
            }
            in_class = c != ']';
        } else if (c == '[') {
            in_class = true;
            class_start = i;
        } else if (c == '+' && i > 0 && pattern[i - 1] == '}' && !out.ends_with("\\}")) {
            // "\p{L}+" ends in a brace as well, "{1,3}+" is the one that differs.
            const std::size_t open = pattern.rfind('{', i);
            const bool property = open != pattern.npos && open >= 2 && pattern[open - 2] == '\\';
            if (!property) return refuse(i, "'+' behind '}'");
        }
        out += c;
    }
    return out;
}

}  // namespace

Result<Regex> Regex::compile(std::string_view pattern) {
    WW_ASSIGN(const std::string translated, translate(pattern));
    int error = 0;
    PCRE2_SIZE offset = 0;
    // Ruby's ^ and $ are line anchors.
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                                     &error, &offset, nullptr);
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
    std::vector<Match> matches;
    std::size_t at = 0;
    while (at <= text.size()) {
        const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                      PCRE2_NO_UTF_CHECK, state.data, state.context);
        if (found == PCRE2_ERROR_NOMATCH) break;
        if (found < 0) return caller_error(fmt::format("regex: {}", message_of(found)));
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
