// SPDX-License-Identifier: Apache-2.0
// What the tests of every operation share: its check on the CPU, the exact text of a refusal, the chosen row.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "check/check.h"
#include "dispatch/operation.h"

namespace warpwright {

inline Context& cpu_context() {
    static const std::shared_ptr<Context> context = [] {
        auto opened = Context::open("cpu");
        if (!opened.ok()) ADD_FAILURE() << opened.status().message();
        return std::move(*opened);
    }();
    return *context;
}

// Every host row of the operation agrees with its oracle on every problem that it serves.
inline void expect_check_passes(std::string_view op, u64 seed = 1) {
    for (const OperationCheck* check : operation_checks()) {
        if (check->op() != op) continue;
        CheckAnswers answers;
        const std::vector<CheckResult> results = check->run(cpu_context(), {.seed = seed}, answers);
        for (const CheckResult& result : results) {
            EXPECT_NE(result.outcome, CheckResult::Outcome::failed)
                << result.row << ": " << result.problem << ": " << result.text;
        }
        const CheckSummary summary = summarize(results);
        EXPECT_GT(summary.passed, 0);
        std::printf("%s on cpu: %d passed, %d failed, %d refused, %d rows\n", std::string(op).c_str(),
                    summary.passed, summary.failed, summary.refused, summary.rows);
        return;
    }
    ADD_FAILURE() << "no check for " << op;
}

inline Explanation explain(std::string_view op, std::string_view target, const FieldTexts& settings) {
    const auto operation = find_operation(op);
    const auto found = find_target(target);
    EXPECT_TRUE(operation.ok()) << operation.status().message();
    EXPECT_TRUE(found.ok()) << found.status().message();
    auto explanation = (*operation)->explain(*found, settings, {});
    EXPECT_TRUE(explanation.ok()) << explanation.status().message();
    return std::move(*explanation);
}

// The chosen row's name; empty when no row serves.
inline std::string chosen(std::string_view op, std::string_view target, const FieldTexts& settings) {
    const Explanation explanation = explain(op, target, settings);
    return explanation.choice() == nullptr ? std::string() : explanation.choice()->row;
}

// Why the row does not serve the problem; empty when it does.
inline std::string refusal(std::string_view op, std::string_view row, std::string_view target,
                           const FieldTexts& settings) {
    for (const Candidate& candidate : explain(op, target, settings).candidates) {
        if (candidate.row == row) return candidate.text;
    }
    ADD_FAILURE() << "no row " << row;
    return {};
}

}  // namespace warpwright
