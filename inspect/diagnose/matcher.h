// SPDX-License-Identifier: Apache-2.0
// What a line of a log is: the most specific failure of the catalogue, an unknown error, or nothing. Three
// steps, each for what the one before lets through: literals over all bytes, all patterns at once over a
// line, single patterns and what must be near.
// Costs some 10 ms to make; serves one log at a time.
#pragma once

#include <re2/re2.h>
#include <re2/set.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "inspect/diagnose/catalogue.h"
#include "inspect/diagnose/log_reader.h"
#include "inspect/diagnose/origin.h"

namespace warpwright::diagnose {

struct Match {
    const Failure* failure = nullptr;  // the first that applies to the GPU
    std::map<std::string, std::string> groups;
    std::string library;        // the failure's own, or what is named near it; empty: nothing tells
    std::string named_by;       // the line that names it; empty: the failure's own
    size_t begin = 0, end = 0;  // of the match, in the text

    const Failure* elsewhere = nullptr;  // matches, but happens on other GPUs only; set where failure is not
    const Sign* sign = nullptr;          // neither: an error that is not in the catalogue
};

class Matcher {
public:
    // compute_capability (10 x major + minor): only failures that happen there; 0: all. Patterns that cannot
    // be compiled throw std::logic_error. The catalogue outlives the matcher.
    Matcher(const Catalogue& catalogue, int compute_capability);

    const LiteralScanner& scanner() const { return *scanner_; }

    void begin_log() { last_.clear(); }

    // `text` is the line's without what a terminal does not show. None of both: an ordinary line.
    Match match(const LogLine& line, std::string_view text);

private:
    struct Pattern {
        std::string text;
        const Failure* failure = nullptr;
        const Sign* sign = nullptr;
        std::unique_ptr<re2::RE2> compiled{};
    };
    // What the lines around a failure said when it was last seen: a repetition has no traceback of its own.
    struct Last {
        u64 end = 0;
        std::string library, named_by;
    };

    bool matches(Pattern& pattern, std::string_view text, size_t num_seen, Match& match);
    bool is_near(const Failure& failure, const LogLine& line);
    void name_library(const Failure& failure, const LogLine& line, Match& match);

    const int compute_capability_;
    OriginFinder origins_;
    std::vector<Pattern> patterns_;  // in the order of the catalogue, signs last
    std::unique_ptr<re2::RE2::Set> set_;
    std::unique_ptr<LiteralScanner> scanner_;
    std::map<std::string, std::unique_ptr<re2::RE2>> near_;
    std::map<const Failure*, Last> last_;
};

}  // namespace warpwright::diagnose
