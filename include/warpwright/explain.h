// SPDX-License-Identifier: Apache-2.0
// Explanation: which row was chosen and why every other one was not, as data. Rendered late.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "warpwright/types.h"

namespace warpwright {

// Rows that must not be chosen, and why: "failed its check on driver 580.95".
using ForbiddenRows = std::map<std::string, std::string, std::less<>>;

struct Candidate {
    std::string row;
    bool accepted = false;
    Prediction prediction;  // when accepted
    std::string basis;      // "modelled" or "measured", when accepted
    Rejection rejection;    // when not
    std::string
        text;  // the rejection as a sentence: "shared memory: needs 131072 bytes, rtx-5090 has 101376"
};

struct Explanation {
    std::string op;
    std::string target;
    std::vector<std::pair<std::string, std::string>> problem;  // field name, value as text
    std::optional<std::size_t> chosen;                         // index into candidates
    bool forced = false;                                       // the caller named the row
    // Where the choice is batch-invariant: the fields of the problem, with the values, that it was made for
    // in place of the problem's own. Predicted times are the problem's own.
    std::vector<std::pair<std::string, std::string>> chosen_for;
    std::vector<Candidate> candidates;  // table order
    std::string tuning_problem;         // why the user's own tuning table was not used, where it was not

    const Candidate* choice() const { return chosen ? &candidates[*chosen] : nullptr; }
};

// {"op","target","problem":{},"chosen":{"row","predicted_us","bound","basis"}|null,"candidates":[...]},
// DESIGN section 10.
std::string to_json(const Explanation& explanation, int indent = 2);

// The same for people: the chosen row first, then one line per candidate.
std::string to_text(const Explanation& explanation);

}  // namespace warpwright
