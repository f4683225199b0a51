// SPDX-License-Identifier: Apache-2.0
// `warpwright check`, as data: every row of every operation that this device can run, against its oracle.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
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
    std::vector<std::string> rows;  // these rows only; none: every row
    u64 seed = 1;                   // of the random inputs
    int max_failures = 0;           // stop after as many; 0: never
    // Problems checked at a time, each in a context of its own. Results are the same, and in the same order.
    // On a GPU most of the time goes into oracles, which use one thread each.
    int num_workers = 1;
    // After every check, by one worker at a time. False: no more of them.
    std::function<bool(const CheckResult&)> progress;
};

// Calls task(worker, index) for every index below `count`, by as many threads at a time. What a task throws
// comes out here, after the others' ends.
void run_parallel(int num_workers, int count, const std::function<void(int worker, int index)>& task);

class OperationCheck {
public:
    virtual ~OperationCheck() = default;
    virtual std::string_view op() const = 0;
    // Rows of the device x problems, those that will be refused too; `rows`: as in CheckSelection.
    virtual int num_checks(const TargetFacts& facts, const std::vector<std::string>& rows) const = 0;
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
CheckSummary summarize(std::span<const CheckResult> results);

std::string problem_text(const FieldTexts& fields);  // "tokens=3 hidden=64 ..."

// Whether the row's kernel can be had: from the pack or a cache, or compiled.
bool has_image(Context& context, ImageSpec spec);

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

    int num_checks(const TargetFacts& facts, const std::vector<std::string>& rows) const override {
        return static_cast<int>(selected_rows(facts, rows).size() * Check::problems().size());
    }

    std::vector<CheckResult> run(Context& context, const CheckSelection& selection,
                                 CheckAnswers& answers) const override {
        const std::vector<const Row*> rows = selected_rows(context.target().facts, selection.rows);
        const auto problems = Check::problems();
        Sheet sheet{selection, answers, rows, problems};
        sheet.results.resize(rows.size() * problems.size());
        sheet.approximate.resize(rows.size());
        if (selection.num_workers <= 1) {
            // Row by row: what one row needs is compiled when the one before is done.
            for (std::size_t row = 0; row < rows.size() && !sheet.enough(); ++row) {
                for (std::size_t problem = 0; problem < problems.size() && !sheet.enough(); ++problem)
                    check_one(context, sheet, row, problem);
            }
            return sheet.in_order();
        }
        std::vector<std::shared_ptr<Context>> contexts;
        for (int i = 0; i < selection.num_workers; ++i) contexts.push_back(context.sibling());
        // Kernels first: workers would wait for each other's compilers.
        run_parallel(selection.num_workers, static_cast<int>(rows.size()), [&](int worker, int row) {
            is_approximate(*contexts[static_cast<std::size_t>(worker)], *rows[static_cast<std::size_t>(row)]);
        });
        run_parallel(selection.num_workers, static_cast<int>(problems.size()), [&](int worker, int problem) {
            for (std::size_t row = 0; row < rows.size() && !sheet.enough(); ++row) {
                check_one(*contexts[static_cast<std::size_t>(worker)], sheet, row,
                          static_cast<std::size_t>(problem));
            }
        });
        return sheet.in_order();
    }

private:
    using Row = typename Op::Row;

    // What the checks of an operation on a device have in common; results by row, then problem.
    struct Sheet {
        const CheckSelection& selection;
        CheckAnswers& answers;
        const std::vector<const Row*>& rows;
        const std::vector<typename Op::Problem>& problems;
        std::vector<std::optional<CheckResult>> results;
        std::vector<std::optional<bool>> approximate;
        std::mutex mutex;  // of everything but the results, which have one writer each
        int failures = 0;
        bool stopped = false;  // by `progress`

        bool enough() {
            const std::lock_guard lock(mutex);
            return stopped || (selection.max_failures > 0 && failures >= selection.max_failures);
        }
        // A row that serves no problem fails after its refusals.
        std::vector<CheckResult> in_order() {
            std::vector<CheckResult> all;
            const bool incomplete = enough();
            for (std::size_t row = 0; row < rows.size(); ++row) {
                bool served = false;
                for (std::size_t problem = 0; problem < problems.size(); ++problem) {
                    auto& result = results[row * problems.size() + problem];
                    if (!result) continue;
                    served = served || result->outcome != CheckResult::Outcome::refused;
                    all.push_back(std::move(*result));
                }
                if (served || incomplete) continue;
                all.push_back({Op::kName, rows[row]->name.text, "", CheckResult::Outcome::failed,
                               "no problem of the check is served by this row"});
            }
            return all;
        }
    };

    static std::vector<const Row*> selected_rows(const TargetFacts& facts,
                                                 const std::vector<std::string>& only) {
        std::vector<const Row*> rows;
        for (const Row& row : Op::rows()) {
            if (!only.empty() && std::find(only.begin(), only.end(), row.name.text) == only.end()) continue;
            if (Op::image_fits(row, facts.build_target)) rows.push_back(&row);  // else another device's
        }
        return rows;
    }

    static bool has_image(Context& context, const Row& row) {
        return row.arch == ArchClass::host ||
               warpwright::has_image(context, image_spec_of<Op>(row, context.target().facts.build_target));
    }

    static bool is_approximate(Context& context, const Row& row) {
        return row.arch != ArchClass::host &&
               warpwright::is_approximate(context,
                                          image_spec_of<Op>(row, context.target().facts.build_target));
    }

    static void check_one(Context& context, Sheet& sheet, std::size_t row_index, std::size_t problem_index) {
        const Row& row = *sheet.rows[row_index];
        const auto& problem = sheet.problems[problem_index];
        CheckResult result{Op::kName, row.name.text, problem_text(field_texts(problem))};
        const u64 case_seed = sheet.selection.seed + 1 + problem_index;
        if (const Rejection rejection = Op::why_not(row, context.target().facts, problem)) {
            result.outcome = CheckResult::Outcome::refused;
            result.text = rejection_text(rejection, context.target());
        } else {
            context.force(Op::kName, row.name.text);
            Workbench bench(context, case_seed, &sheet_answers(sheet, result.problem, case_seed));
            Check::run(bench, problem, result);
            context.force(Op::kName, {});
            if (result.outcome == CheckResult::Outcome::failed)
                result.tried = bench.has_memory() && has_image(context, row);
            result.approximate = known_approximate(context, sheet, row_index);
        }
        const std::lock_guard lock(sheet.mutex);
        sheet.failures += result.outcome == CheckResult::Outcome::failed;
        if (sheet.selection.progress && !sheet.selection.progress(result)) sheet.stopped = true;
        sheet.results[row_index * sheet.problems.size() + problem_index] = std::move(result);
    }

    static Answers& sheet_answers(Sheet& sheet, const std::string& problem, u64 seed) {
        const std::lock_guard lock(sheet.mutex);
        return sheet.answers[fmt::format("{} {} seed {}", Op::kName, problem, seed)];
    }

    static bool known_approximate(Context& context, Sheet& sheet, std::size_t row_index) {
        {
            const std::lock_guard lock(sheet.mutex);
            if (sheet.approximate[row_index]) return *sheet.approximate[row_index];
        }
        const bool approximate = is_approximate(context, *sheet.rows[row_index]);
        const std::lock_guard lock(sheet.mutex);
        sheet.approximate[row_index] = approximate;
        return approximate;
    }
};

}  // namespace warpwright
