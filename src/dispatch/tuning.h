// SPDX-License-Identifier: Apache-2.0
// Tuning tables: times of rows that `warpwright tune` measured on a GPU of one model. One ships for a target
// as data/tuning/TARGET.json; a user's own, in the cache folder, goes before it, problem by problem.
// docs/tuning.md says how they are used; dispatch/measured.h does.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dispatch/fields.h"
#include "warpwright/status.h"

namespace warpwright {

// One call, and how long the rows that serve it took.
struct TuningEntry {
    std::string op;
    FieldTexts problem;  // fields that differ from the defaults
    std::vector<std::pair<std::string, double>> us;
};

class TuningTable {
public:
    TuningTable();

    // `source` names the text in errors. Refused: what is no table, an operation, a field or a row that this
    // library has not.
    static Result<TuningTable> parse(std::string_view text, std::string_view source);

    // Entries of `other` in place of those for the same problem, and beside the rest.
    void take(const TuningTable& other);

    // No two tables of a process have the same.
    u64 id() const { return id_; }

    std::string target;
    std::string measured_on;  // "H100 SXM, 2026-11-25", for explanations
    std::vector<TuningEntry> entries;

private:
    u64 id_;
};

struct TargetTuning {
    TuningTable table;    // empty where there is none
    std::string problem;  // why the user's table is not used; empty where it is, or there is none
};

// What is known of this target, read once. Thread-safe; the reference stays valid.
const TargetTuning& tuning_for(std::string_view target);

// Where a user's own table of a target is: in WARPWRIGHT_CACHE, or the user's cache folder; empty without
// one.
std::string user_tuning_path(std::string_view target);

// A table without entries: choices by the model.
const TuningTable& no_tuning();

}  // namespace warpwright
