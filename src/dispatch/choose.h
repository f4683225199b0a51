// SPDX-License-Identifier: Apache-2.0
// Chooses a row: iterates over an operation's table and knows no family. An operation is described by a
// traits struct, one per operation folder (operation.h there):
//
//   struct Gemm {
//       static constexpr const char* kName = "gemm";          the name on the command line
//       static constexpr const char* kFolder = "src/kernels/gemm";   where its kernels' files are
//       using Problem = GemmProblem;   using Row = GemmRow;   using Args = GemmArgs;
//       static std::span<const Row> rows();
//       static Rejection why_not(const Row&, const TargetFacts&, const Problem&);
//       static Prediction predict(const Row&, const TargetFacts&, const Problem&);
//       static LaunchConfig launch_config(const Row&, const TargetFacts&, const Problem&);
//       static HostFunction host_function(const Row&);         null for rows that are images
//   };
//   Problem::visit(self, v) and Row::visit(self, v) call v("name", field) for every field.
//   problem.canonical() is the problem with fixed values in place of what depends on the batch: what
//   batch-invariant choices look at.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dispatch/fields.h"
#include "dispatch/measured.h"
#include "warpwright/explain.h"
#include "warpwright/status.h"
#include "warpwright/target.h"

namespace warpwright {

// The fields of `after` that differ from `before`.
FieldTexts changed_fields(const FieldTexts& before, const FieldTexts& after);

// The rejection as a sentence: "shared memory: needs at most 101376 bytes on rtx-5090, got 131072".
std::string rejection_text(const Rejection& rejection, const Target& target);

struct ChoiceOptions {
    std::string_view forced{};     // the row of this name, if it serves
    bool batch_invariant = false;  // see Prepared
    const ForbiddenRows* forbidden = nullptr;
    const TuningTable* tuning = nullptr;  // measured times to go by; null: those there are for the target

    // Why this row must not be chosen; null where it may be. What is forced may always be.
    const std::string* reason_against(std::string_view row) const {
        if (forbidden == nullptr || !forced.empty()) return nullptr;
        const auto entry = forbidden->find(row);
        return entry == forbidden->end() ? nullptr : &entry->second;
    }
};

// What a row's time is thought to be: measured where the target's table speaks of the problem, else
// modelled.
template <class Op>
class Times {
public:
    Times(const Target& target, const typename Op::Problem& problem, const ChoiceOptions& options)
        : target_(target.facts),
          problem_(problem),
          // why: what is measured belongs to one batch.
          measured_(options.batch_invariant ? no_tuning()
                    : options.tuning        ? *options.tuning
                                            : tuning_for(target.id).table,
                    target.facts, problem) {}

    double us(const typename Op::Row& row) const {
        if (const std::optional<double> us = measured_.us(row)) return *us;
        return Op::predict(row, target_, problem_).us;
    }
    void describe(const typename Op::Row& row, Candidate& candidate) const {
        candidate.prediction = Op::predict(row, target_, problem_);
        candidate.basis = "modelled";
        if (const std::optional<double> us = measured_.us(row)) {
            candidate.prediction.us = *us;
            candidate.basis = "measured";
        }
    }

private:
    const TargetFacts& target_;
    const typename Op::Problem& problem_;
    const Measured<Op> measured_;
};

template <class Op>
Explanation explain(const Target& target, const typename Op::Problem& problem,
                    const ChoiceOptions& options = {}) {
    Explanation result;
    result.op = Op::kName;
    result.target = target.id;
    result.problem = field_texts(problem);
    result.forced = !options.forced.empty();
    const auto judged = options.batch_invariant ? problem.canonical() : problem;
    if (options.batch_invariant) result.chosen_for = changed_fields(result.problem, field_texts(judged));
    if (options.tuning == nullptr) result.tuning_problem = tuning_for(target.id).problem;
    const Times<Op> times(target, problem, options), judged_times(target, judged, options);
    result.candidates.reserve(Op::rows().size());
    std::optional<std::size_t> best;
    double best_us = 0;
    for (const auto& row : Op::rows()) {
        Candidate candidate;
        candidate.row = row.name.text;
        candidate.rejection = Op::why_not(row, target.facts, problem);
        const std::string* reason_against = options.reason_against(candidate.row);
        candidate.accepted = !candidate.rejection && reason_against == nullptr;
        if (reason_against != nullptr) {
            candidate.rejection = {.rule = "forbidden"};
            candidate.text = "forbidden: " + *reason_against;
        } else if (candidate.accepted) {
            times.describe(row, candidate);
        } else {
            candidate.text = rejection_text(candidate.rejection, target);
        }
        const bool wanted =
            (options.forced.empty() || options.forced == candidate.row) && reason_against == nullptr;
        const Rejection rejection =
            options.batch_invariant ? Op::why_not(row, target.facts, judged) : candidate.rejection;
        if (rejection) {
            if (candidate.accepted) candidate.text = rejection_text(rejection, target);
        } else if (wanted) {
            const double us = options.batch_invariant ? judged_times.us(row) : candidate.prediction.us;
            if (!best || us < best_us) best = result.candidates.size(), best_us = us;
        }
        result.candidates.push_back(std::move(candidate));
    }
    if (best && result.candidates[*best].accepted) result.chosen = best;
    return result;
}

// "gemm: no row for m=1 n=... on rtx-5090; rows tried: a (reason), b (reason)". A forced row that does not
// exist or does not serve is named first.
Status no_row_error(const Explanation& explanation, std::string_view forced);

template <class Op>
Result<const typename Op::Row*> choose(const Target& target, const typename Op::Problem& problem,
                                       const ChoiceOptions& options = {}) {
    const auto judged = options.batch_invariant ? problem.canonical() : problem;
    const Times<Op> times(target, judged, options);
    const typename Op::Row* best = nullptr;
    double best_us = 0;
    for (const auto& row : Op::rows()) {
        if (!options.forced.empty() && options.forced != row.name.text) continue;
        if (options.reason_against(row.name.text) != nullptr) continue;
        if (Op::why_not(row, target.facts, judged)) continue;
        const double us = times.us(row);
        if (best == nullptr || us < best_us) best = &row, best_us = us;
    }
    // why: a row that serves the canonical problem and not this one would be another row for this batch.
    if (best == nullptr || Op::why_not(*best, target.facts, problem))
        return no_row_error(explain<Op>(target, problem, options), options.forced);
    return best;
}

// What the chosen row is thought to take; an error as of choose.
template <class Op>
Result<double> chosen_us(const Target& target, const typename Op::Problem& problem,
                         const ChoiceOptions& options = {}) {
    WW_ASSIGN(const typename Op::Row* row, choose<Op>(target, problem, options));
    return Times<Op>(target, problem, options).us(*row);
}

}  // namespace warpwright
