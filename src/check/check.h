// SPDX-License-Identifier: Apache-2.0
// `warpwright check`, as data: every row of every operation that this device can run, against its oracle.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "check/harness.h"
#include "dispatch/choose.h"
#include "dispatch/fields.h"
#include "dispatch/operation.h"

namespace warpwright {

class OperationCheck {
public:
    virtual ~OperationCheck() = default;
    virtual std::string_view op() const = 0;
    // Every row of this device's architecture classes x every problem of the check. A row that serves none of
    // the problems is a failure: a row without a test is not shipped.
    virtual std::vector<CheckResult> run(Context& context, std::string_view only_row, u64 seed) const = 0;
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

    std::vector<CheckResult> run(Context& context, std::string_view only_row, u64 seed) const override {
        std::vector<CheckResult> results;
        const TargetFacts& facts = context.target().facts;
        for (const auto& row : Op::rows()) {
            if (!only_row.empty() && only_row != row.name.text) continue;
            if (!Op::image_fits(row, facts.build_target)) continue;  // another device's row
            bool served = false;
            std::optional<bool> approximate;
            u64 case_seed = seed;
            for (const auto& problem : Check::problems()) {
                CheckResult result{Op::kName, row.name.text, problem_text(field_texts(problem))};
                ++case_seed;
                if (const Rejection rejection = Op::why_not(row, facts, problem)) {
                    result.outcome = CheckResult::Outcome::refused;
                    result.text = rejection_text(rejection, context.target());
                } else {
                    served = true;
                    context.force(Op::kName, row.name.text);
                    Workbench bench(context, case_seed);
                    Check::run(bench, problem, result);
                    context.force(Op::kName, {});
                    if (!approximate) {
                        approximate = row.arch != ArchClass::host &&
                                      is_approximate(context, image_spec_of<Op>(row, facts.build_target));
                    }
                    result.approximate = *approximate;
                }
                results.push_back(std::move(result));
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
