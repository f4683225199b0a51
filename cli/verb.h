// SPDX-License-Identifier: Apache-2.0
// One file per verb. Each adds its subcommand and, when that is chosen, sets the action to run.
// Exit codes: 0; 1 for a negative answer (no kernel, does not fit, a failed check); 2 for bad usage or input.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "dispatch/fields.h"
#include "warpwright/status.h"

namespace warpwright::cli {

using Action = std::function<int()>;

void add_probe(CLI::App& app, Action& action);
void add_targets(CLI::App& app, Action& action);
void add_kernels(CLI::App& app, Action& action);
void add_why(CLI::App& app, Action& action);
void add_plan(CLI::App& app, Action& action);
void add_run(CLI::App& app, Action& action);
void add_check(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_tune(CLI::App& app, Action& action);
void add_quantize(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_diagnose(CLI::App& app, Action& action);
void add_libraries(CLI::App& app, Action& action);
void add_isa(CLI::App& app, Action& action);

constexpr int kNegative = 1;
constexpr int kBadInput = 2;

// Prints "error: ..." to stderr, a long list of rows one to a line, and returns the exit code for it.
int report(const Status& status);

// "m=16,n=4096", an option's value, -> fields.
Result<FieldTexts> parse_settings(std::string_view option, const std::string& text);

// Binds the value of a Result, or reports and returns.
#define WW_CLI_ASSIGN(declaration, expression)                                                          \
    auto WW_CONCAT(ww_result_, __LINE__) = (expression);                                                \
    if (!WW_CONCAT(ww_result_, __LINE__).ok()) return report(WW_CONCAT(ww_result_, __LINE__).status()); \
    declaration = std::move(WW_CONCAT(ww_result_, __LINE__)).value()

}  // namespace warpwright::cli
