// SPDX-License-Identifier: Apache-2.0
// warpwright kernels: every row, its images' registers, spills and shared memory, and whether a target can
// run it.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/verb.h"
#include "dispatch/operation.h"
#include "image/store.h"
#include "warpwright/target.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::string op, target;
    bool json = false;
};

std::string target_verdict(const Operation& operation, int row, const Target& target) {
    const Rejection rejection = operation.misfit(row, target.facts);
    return rejection ? rejection_text(rejection, target) : "";
}

nlohmann::ordered_json images_json(const Operation& operation, int row, std::optional<BuildTarget> only) {
    nlohmann::ordered_json images = nlohmann::ordered_json::array();
    for (int i = 0; i < kNumBuildTargets; ++i) {
        const auto build_target = static_cast<BuildTarget>(i);
        if (build_target == BuildTarget::host || !operation.image_fits(row, build_target)) continue;
        if (only && *only != build_target) continue;
        const ImageStore::Info info = ImageStore::shared().info(operation.image_spec(row, build_target));
        nlohmann::ordered_json image{{"build_target", build_target_name(build_target)},
                                     {"from", image_origin_name(info.origin)}};
        if (info.origin != ImageOrigin::none) {
            image["registers"] = info.resources.registers;
            image["spill_bytes"] = info.resources.spill_bytes;
            image["stack_bytes"] = info.resources.stack_bytes;
            image["static_shared_bytes"] = info.resources.static_shared_bytes;
        }
        images.push_back(std::move(image));
    }
    return images;
}

int run(const Options& options) {
    std::optional<Target> target;
    if (!options.target.empty()) {
        WW_CLI_ASSIGN(target, find_target(options.target));
    }
    if (!options.op.empty()) {
        WW_CLI_ASSIGN(const Operation* known, find_operation(options.op));
        (void)known;
    }
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    int num_rows = 0, num_runnable = 0;
    for (const Operation* operation : operations()) {
        if (!options.op.empty() && operation->name() != options.op) continue;
        if (!options.json) fmt::print("{}\n", operation->name());
        for (int row = 0; row < operation->num_rows(); ++row) {
            ++num_rows;
            const std::string verdict = target ? target_verdict(*operation, row, *target) : "";
            num_runnable += verdict.empty() ? 1 : 0;
            const auto images = images_json(
                *operation, row, target ? std::optional(target->facts.build_target) : std::nullopt);
            if (options.json) {
                nlohmann::ordered_json entry{{"op", operation->name()}, {"row", operation->row_name(row)}};
                for (const auto& [name, value] : operation->row_fields(row)) entry["fields"][name] = value;
                if (target) entry["runs"] = verdict.empty();
                if (!verdict.empty()) entry["text"] = verdict;
                entry["images"] = images;
                all.push_back(std::move(entry));
                continue;
            }
            fmt::print("  {}{}\n", operation->row_name(row), verdict.empty() ? "" : "  refused: " + verdict);
            for (const auto& image : images) {
                if (!image.contains("registers")) {
                    fmt::print("      {:<10}  not built\n", image["build_target"].get<std::string>());
                    continue;
                }
                fmt::print(
                    "      {:<10}  {:3} registers, {} bytes spilled, {} stack, {} static shared ({})\n",
                    image["build_target"].get<std::string>(), image["registers"].get<int>(),
                    image["spill_bytes"].get<int>(), image["stack_bytes"].get<int>(),
                    image["static_shared_bytes"].get<int>(), image["from"].get<std::string>());
            }
        }
    }
    if (options.json) {
        fmt::print("{}\n", all.dump(2));
    } else if (target) {
        fmt::print("{} rows, {} can run on {}\n", num_rows, num_runnable, target->id);
    } else {
        fmt::print("{} rows\n", num_rows);
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
