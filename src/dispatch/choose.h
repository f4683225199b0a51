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
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dispatch/fields.h"
#include "warpwright/explain.h"
#include "warpwright/status.h"
#include "warpwright/target.h"

namespace warpwright {

// The rejection as a sentence: "shared memory: needs at most 101376 bytes on rtx-5090, got 131072".
std::string rejection_text(const Rejection& rejection, const Target& target);

template <class Op>
Explanation explain(const Target& target, const typename Op::Problem& problem, std::string_view forced = {}) {
    Explanation result;
    result.op = Op::kName;
    result.target = target.id;
    result.problem = field_texts(problem);
    result.forced = !forced.empty();
    std::size_t index = 0;
    for (const auto& row : Op::rows()) {
        Candidate candidate;
        candidate.row = row.name.text;
        candidate.rejection = Op::why_not(row, target.facts, problem);
        candidate.accepted = !candidate.rejection;
        if (candidate.accepted) {
            candidate.prediction = Op::predict(row, target.facts, problem);
            candidate.basis = "modelled";
            const bool wanted = forced.empty() || forced == candidate.row;
            const Candidate* best = result.choice();
            if (wanted && (best == nullptr || candidate.prediction.us < best->prediction.us))
                result.chosen = index;
        } else {
            candidate.text = rejection_text(candidate.rejection, target);
        }
        result.candidates.push_back(std::move(candidate));
        ++index;
    }
    return result;
}

// "gemm: no row for m=1 n=... on rtx-5090; rows tried: a (reason), b (reason)". A forced row that does not
// exist or does not serve is named first.
Status no_row_error(const Explanation& explanation, std::string_view forced);

template <class Op>
Result<const typename Op::Row*> choose(const Target& target, const typename Op::Problem& problem,
                                       std::string_view forced = {}) {
    const typename Op::Row* best = nullptr;
    double best_us = 0;
    for (const auto& row : Op::rows()) {
        if (!forced.empty() && forced != row.name.text) continue;
        if (Op::why_not(row, target.facts, problem)) continue;
        const double us = Op::predict(row, target.facts, problem).us;
        if (best == nullptr || us < best_us) best = &row, best_us = us;
    }
    if (best == nullptr) return no_row_error(explain<Op>(target, problem, forced), forced);
    return best;
}

}  // namespace warpwright
