// SPDX-License-Identifier: Apache-2.0
// warpwright kernels: every row, its images' registers, spills and shared memory, and whether a target can
// run it.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/verb.h"
#include "dispatch/tuning.h"
#include "ops/kernels_json.h"
#include "warpwright/target.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::string op, target;
    bool json = false;
};

void print_row(const nlohmann::ordered_json& row) {
    fmt::print("  {}{}\n", row["row"].get<std::string>(),
               row.contains("text") ? "  refused: " + row["text"].get<std::string>() : "");
    for (const auto& image : row["images"]) {
        if (!image.contains("registers")) {
            fmt::print("      {:<10}  not built\n", image["build_target"].get<std::string>());
            continue;
        }
        fmt::print("      {:<10}  {:3} registers, {} bytes spilled, {} stack, {} static shared ({})\n",
                   image["build_target"].get<std::string>(), image["registers"].get<int>(),
                   image["spill_bytes"].get<int>(), image["stack_bytes"].get<int>(),
                   image["static_shared_bytes"].get<int>(), image["from"].get<std::string>());
    }
}

int run(const Options& options) {
    std::optional<Target> target;
    if (!options.target.empty()) {
        WW_CLI_ASSIGN(target, find_target(options.target));
    }
    WW_CLI_ASSIGN(const auto rows, kernels_json(options.op, target ? &*target : nullptr));
    if (options.json) {
        fmt::print("{}\n", rows.dump(2));
        return 0;
    }
    std::string op;
    int num_runnable = 0;
    for (const auto& row : rows) {
        if (row["op"] != op) {
            op = row["op"].get<std::string>();
            fmt::print("{}\n", op);
        }
        print_row(row);
        num_runnable += row.value("runs", false) ? 1 : 0;
    }
    if (target) {
        fmt::print("{} rows, {} can run on {}\n", rows.size(), num_runnable, target->id);
        const TargetTuning& tuning = tuning_for(target->id);
        if (!tuning.table.entries.empty()) {
            fmt::print("times of {} problems were measured on {}\n", tuning.table.entries.size(),
                       tuning.table.measured_on);
        }
        if (!tuning.problem.empty()) fmt::print("the tuning table is not used: {}\n", tuning.problem);
    } else {
        fmt::print("{} rows\n", rows.size());
    }
    return 0;
}

}  // namespace

void add_kernels(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb =
        app.add_subcommand("kernels", "every kernel row, what it needs, and whether a target can run it");
    verb->add_option("--op", options->op, "rows of this operation only");
    verb->add_option("--target", options->target, "id or alias of a target");
    verb->add_flag("--json", options->json, "for machines");
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
