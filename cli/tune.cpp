// SPDX-License-Identifier: Apache-2.0
// warpwright tune: how long every row takes on this machine's GPU, as the table that choices go by
// (docs/tuning.md).
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>

#include "bench/measure.h"
#include "bench/tuning_run.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "dispatch/tuning.h"
#include "warpwright/context.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::string device = "auto", op, out, judge;
    double budget_ms = 50;  // of device time for a row
    bool restart = false, list = false, json = false;
};

std::string command_of(const Options& options) {
    return fmt::format("warpwright tune --device {}{}", options.device,
                       options.op.empty() ? "" : " --op " + options.op);
}

// What the model would have chosen, and what that costs.
std::string line_of(const bench::Case& item, const std::vector<bench::RowTime>& times) {
    const auto modelled = std::min_element(times.begin(), times.end(), [](const auto& a, const auto& b) {
        return a.predicted_us < b.predicted_us;
    });
    const std::string problem = item.op + " " + item.problem;
    std::string text = fmt::format("{:<62} {:>9.2f}  {:<44}", problem, times[0].us, times[0].row);
    if (modelled != times.begin())
        text += fmt::format("  model: {} at x {:.2f}", modelled->row, modelled->us / times[0].us);
    return text + "\n";
}

std::vector<bench::Case> selected_cases(const Options& options) {
    std::vector<bench::Case> selected;
    for (bench::Case& item : bench::cases("tune")) {
        if (item.operation() != item.op) continue;  // several launches, each of which has problems of its own
        if (options.op.empty() || options.op == item.op) selected.push_back(std::move(item));
    }
    return selected;
}

Status tune(Context& context, const Options& options, const std::string& path, bench::TuningRun& run) {
    const std::vector<bench::Case> cases = selected_cases(options);
    StepProgress progress("tune", static_cast<int>(cases.size()));
    for (const bench::Case& item : cases) {
        WW_ASSIGN(const FieldTexts problem, bench::tuning_problem(context.target(), item));
        if (run.has(item.op, problem)) {
            progress.skip();
            continue;
        }
        progress.next(item.op + " " + item.problem);
        WW_ASSIGN(const bench::Subject subject, bench::Subject::make(context, item));
        WW_ASSIGN(const auto times, bench::time_rows(context, item, subject, options.budget_ms * 1e3));
        if (times.empty()) continue;
        run.add(item.op, problem, times);
        WW_TRY(run.save(path));
        progress.clear();
        if (!options.json) fmt::print("{}", line_of(item, times));
        std::fflush(stdout);
    }
    return {};
}

// A table that is there already, on a machine without the GPU.
int judge(const Options& options) {
    std::ifstream file(options.judge);
    if (!file) return report(caller_error("--judge: cannot read " + options.judge));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    WW_CLI_ASSIGN(const TuningTable table, TuningTable::parse(text, options.judge));
    WW_CLI_ASSIGN(const Target target, find_target(table.target));
    WW_CLI_ASSIGN(const bench::ModelJudgement judgement, bench::judge_model(target, table));
    fmt::print("{} problems, measured on {}\n{}", table.entries.size(), table.measured_on,
               bench::judgement_lines(judgement));
    return 0;
}

int run(const Options& options) {
    if (!options.judge.empty()) return judge(options);
    if (options.device.starts_with("emulated")) {
        return report(caller_error("--device " + options.device +
                                   ": an emulated GPU has no times; `why` and `plan` predict them"));
    }
    if (selected_cases(options).empty())
        return report(caller_error(fmt::format("--op: no problem of '{}'", options.op)));
    if (options.list) {
        for (const bench::Case& item : selected_cases(options)) fmt::print("{} {}\n", item.op, item.problem);
        return 0;
    }
    WW_CLI_ASSIGN(const auto context, Context::open(options.device));
    const std::string path = options.out.empty() ? user_tuning_path(context->target().id) : options.out;
    if (path.empty())
        return report(
            caller_error("--out: needed, for there is no cache folder: WARPWRIGHT_CACHE, "
                         "XDG_CACHE_HOME and HOME are not set"));
    bench::TuningRun tuning(context->target(), context->device().identity().driver, command_of(options));
    if (!options.restart) {
        if (const Status status = tuning.resume(path); !status.ok()) return report(status);
    }
    if (const Status status = tune(*context, options, path, tuning); !status.ok()) return report(status);
    if (const Status status = tuning.save(path); !status.ok()) return report(status);
    if (options.json) {
        fmt::print("{}\n", tuning.json().dump(1));
    } else {
        fmt::print("{}: {} problems{}\n", path, tuning.json()["entries"].size(),
                   options.out.empty() ? "; choices go by it from now on" : "");
    }
    return 0;
}

}  // namespace

void add_tune(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("tune", "measure every row, and choose by what was measured");
    verb->add_option("--device", options->device, "auto, cpu, cuda:N")->capture_default_str();
    verb->add_option("--op", options->op, "this operation only");
    verb->add_option("--out", options->out,
                     "the table; by default the user's own for this GPU, in the cache folder, which choices "
                     "go by");
    verb->add_option("--budget-ms", options->budget_ms, "device time for one row on one problem")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    verb->add_flag("--restart", options->restart, "measure again what the table has already");
    verb->add_flag("--list", options->list, "print the problems");
    verb->add_option("--judge", options->judge,
                     "measure nothing: how good the model's choices are by the times of this table");
    verb->add_flag("--json", options->json, "for machines: the table");
    verb->footer(
        "An interrupted run goes on where it stopped. docs/tuning.md says what a table is good for.");
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
