// SPDX-License-Identifier: Apache-2.0
// `warpwright check`, as data: every row of every operation that this device can run, against its oracle.
#pragma once

#include <fmt/format.h>

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "check/harness.h"
#include "dispatch/choose.h"
#include "dispatch/fields.h"
#include "dispatch/operation.h"

namespace warpwright {

// By operation, problem and seed.
using CheckAnswers = std::map<std::string, Answers>;

struct CheckSelection {
    std::string row;       // this row only; empty: every row
    u64 seed = 1;          // of the random inputs
    int max_failures = 0;  // stop after as many; 0: never
};

class OperationCheck {
public:
    virtual ~OperationCheck() = default;
    virtual std::string_view op() const = 0;
    // Every row of this device's architecture classes x every problem of the check. A row that serves none of
    // the problems is a failure: a row without a test is not shipped. `answers` is kept from row to row;
    // calls for several devices may share it.
    virtual std::vector<CheckResult> run(Context& context, const CheckSelection& selection,
                                         CheckAnswers& answers) const = 0;
};

std::span<const OperationCheck* const> operation_checks();

struct CheckSummary {
    int passed = 0, failed = 0, refused = 0;
    int rows = 0;  // rows that passed at least one problem
};
CheckSummary summarize(const std::vector<CheckResult>& results);

std::string problem_text(const FieldTexts& fields);  // "tokens=3 hidden=64 ..."

// Whether the image has instructions that PTX does not define to the bit.
bool is_approximate(Context& context, ImageSpec spec);

// How the bits of results compare with those of another device, by operation, row and problem.
struct BitComparison {
    int equal = 0;
    int approximate = 0;                        // differ, and may: approximate rows
    int other_inputs = 0;                       // were given something else: nothing follows
    int unknown = 0;                            // not among the others, or did not run there
    std::vector<const CheckResult*> different;  // that may not
};
BitComparison compare_bits(const std::vector<CheckResult>& results, const std::vector<CheckResult>& others);

// An operation's check: problems() lists the shapes, run() executes one of them with the row already forced.
//   struct RmsNormCheck {
//       using Op = RmsNormOp;
//       static std::vector<Op::Problem> problems();
//       static void run(Workbench& bench, const Op::Problem& problem, CheckResult& result);
//   };
template <class Check>
class OperationCheckOf final : public OperationCheck {
    using Op = typename Check::Op;

public:
    std::string_view op() const override { return Op::kName; }

    std::vector<CheckResult> run(Context& context, const CheckSelection& selection,
                                 CheckAnswers& answers) const override {
        std::vector<CheckResult> results;
        int failures = 0;
        const TargetFacts& facts = context.target().facts;
        for (const auto& row : Op::rows()) {
            if (!selection.row.empty() && selection.row != row.name.text) continue;
            if (!Op::image_fits(row, facts.build_target)) continue;  // another device's row
            bool served = false;
            std::optional<bool> approximate;
            u64 case_seed = selection.seed;
            for (const auto& problem : Check::problems()) {
                CheckResult result{Op::kName, row.name.text, problem_text(field_texts(problem))};
                ++case_seed;
                if (const Rejection rejection = Op::why_not(row, facts, problem)) {
                    result.outcome = CheckResult::Outcome::refused;
                    result.text = rejection_text(rejection, context.target());
                } else {
                    served = true;
                    context.force(Op::kName, row.name.text);
                    Answers& known =
                        answers[fmt::format("{} {} seed {}", Op::kName, result.problem, case_seed)];
                    Workbench bench(context, case_seed, &known);
                    Check::run(bench, problem, result);
                    context.force(Op::kName, {});
                    if (!approximate) {
                        approximate = row.arch != ArchClass::host &&
                                      is_approximate(context, image_spec_of<Op>(row, facts.build_target));
                    }
                    result.approximate = *approximate;
                }
                failures += result.outcome == CheckResult::Outcome::failed;
                results.push_back(std::move(result));
                if (selection.max_failures > 0 && failures >= selection.max_failures) return results;
            }
            if (!served) {
                results.push_back({Op::kName, row.name.text, "", CheckResult::Outcome::failed,
                                   "no problem of the check is served by this row"});
            }
        }
        return results;
    }
};

}  // namespace warpwright
