// SPDX-License-Identifier: Apache-2.0
// warpwright why OP --gpu T --set k=v,...: one Explanation.
#include <fmt/format.h>

#include <memory>

#include "cli/verb.h"
#include "dispatch/operation.h"
#include "warpwright/context.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::string op, gpu, device, settings, row;
    bool json = false, batch_invariant = false;
};

int run(const Options& options) {
    WW_CLI_ASSIGN(const Operation* operation, find_operation(options.op));
    Target target;
    std::shared_ptr<const ForbiddenRows> forbidden;
    if (options.device.empty()) {
        WW_CLI_ASSIGN(target, find_target(options.gpu.empty() ? "cpu" : options.gpu));
    } else {
        WW_CLI_ASSIGN(const auto context, Context::open(options.device));
        target = context->target();
        forbidden = context->forbidden();
    }
    WW_CLI_ASSIGN(const FieldTexts settings, parse_settings("--set", options.settings));
    WW_CLI_ASSIGN(const Explanation explanation,
                  operation->explain(target, settings,
                                     {.forced = options.row,
                                      .batch_invariant = options.batch_invariant,
                                      .forbidden = forbidden.get()}));
    if (!options.row.empty() && explanation.choice() == nullptr) {
        const Status status = no_row_error(explanation, options.row);
        if (status.kind() != ErrorKind::no_kernel) return report(status);
    }
    fmt::print("{}\n", options.json ? to_json(explanation) : to_text(explanation));
    return explanation.choice() == nullptr ? kNegative : 0;
}

std::string footer() {
    std::string text = "Operations and their fields (with defaults):\n";
    for (const Operation* operation : operations()) {
        text += fmt::format("  {}:", operation->name());
        for (const auto& [name, value] : operation->default_problem())
            text += fmt::format(" {}={}", name, value);
        text += '\n';
    }
    return text;
}

}  // namespace

void add_why(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("why", "which row an operation would run on a GPU, and why no other");
    verb->add_option("OP", options->op, "the operation")->required();
    CLI::Option* gpu = verb->add_option("--gpu", options->gpu, "id or alias of a target; else the CPU");
    verb->add_option("--device", options->device,
                     "this machine's: auto, cpu, cuda:N; rows that failed their check on it are refused")
        ->excludes(gpu);
    verb->add_option("--set", options->settings,
                     "the problem: name=value,...; what is not named has its default");
    verb->add_option("--row", options->row, "force this row");
    verb->add_flag("--batch-invariant", options->batch_invariant,
                   "the row for every size of the batch: run --batch-invariant uses it");
    verb->add_flag("--json", options->json, "for machines");
    verb->footer(footer);
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
