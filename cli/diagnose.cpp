// SPDX-License-Identifier: Apache-2.0
// warpwright diagnose [FILE or -]: the known failures in a log, with cause and fix.
#include "inspect/diagnose/diagnose.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>

#include "cli/verb.h"
#include "inspect/diagnose/confirm.h"
#include "inspect/diagnose/output.h"
#include "inspect/inspect.h"
#include "inspect/libraries/library.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::vector<std::string> files, inspected;
    std::string gpu;
    bool json = false, follow = false;
};

std::atomic<bool> interrupted = false;

// While a log is followed, Ctrl-C ends the following; a second one ends the program.
void catch_interrupts() {
    for (const int signal : {SIGINT, SIGTERM}) {
        std::signal(signal, [](int number) {
            interrupted = true;
            std::signal(number, SIG_DFL);
        });
    }
}

Result<std::optional<Target>> gpu_of(const Options& options) {
    if (options.gpu.empty()) return std::optional<Target>{};
    WW_ASSIGN(const Target target, find_target(options.gpu));
    if (target.facts.compute_capability == 0)
        return caller_error(
            fmt::format("--gpu {}: expected a GPU, 'warpwright targets' lists them", options.gpu));
    return std::optional<Target>(target);
}

Status inspect_binaries(const Options& options, const std::optional<Target>& gpu, diagnose::Report& report) {
    if (options.inspected.empty() || report.findings.empty()) return {};
    inspect::InspectOptions how;
    how.targets = diagnose::targets_to_inspect(report, gpu);
    WW_ASSIGN(const inspect::Report binaries, inspect::inspect_paths(options.inspected, how));
    diagnose::confirm(report, binaries, how.targets);
    return {};
}

std::string libraries_of(const diagnose::Report& report) {
    std::vector<std::string> failures;
    for (const diagnose::Finding& finding : report.findings) failures.push_back(finding.failure->id);
    const std::string more = libraries::more_about(failures);
    return more.empty() ? "" : fmt::format("where these libraries run, and why not elsewhere: {}\n", more);
}

// A finding of a log that is followed, at once: whoever reads it may be another program.
void show_new(const diagnose::Finding& finding, bool json) {
    if (json)
        fmt::print("{}\n", diagnose::to_json(finding).dump());
    else
        fmt::print("{}\n", diagnose::to_text(finding));
    std::fflush(stdout);
}

int run(const Options& options) {
    WW_CLI_ASSIGN(const std::optional<Target> gpu, gpu_of(options));
    const std::vector<std::string> files =
        options.files.empty() ? std::vector<std::string>{"-"} : options.files;
    if (options.follow && files.size() > 1)
        return report(caller_error(fmt::format("--follow: expected one file, got {}", files.size())));
    diagnose::Matcher matcher(diagnose::catalogue(), gpu ? gpu->facts.compute_capability : 0);
    diagnose::Diagnoser diagnoser(matcher);
    const auto stop = [] { return interrupted.load(); };
    if (options.follow) {
        catch_interrupts();
        diagnoser.on_new = [&](const diagnose::Finding& finding) { show_new(finding, options.json); };
    }
    for (const std::string& file : files) {
        if (file == "-" && isatty(STDIN_FILENO) != 0)
            fmt::print(stderr, "note: reading the log from the terminal; Ctrl-D ends it\n");
        const Status status = options.follow ? diagnose::follow_log(file, diagnoser, stop)
                                             : diagnose::read_log(file, diagnoser, stop);
        if (!status.ok()) return report(status);
    }
    diagnose::Report found = diagnoser.report();
    if (const Status status = inspect_binaries(options, gpu, found); !status.ok()) return report(status);
    if (options.json)
        fmt::print("{}\n", diagnose::to_json(found).dump(options.follow ? -1 : 2));
    else
        fmt::print("{}{}", diagnose::to_text(found, gpu, options.follow), libraries_of(found));
    return found.findings.empty() ? 0 : kNegative;
}

}  // namespace

void add_diagnose(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("diagnose", "the known failures in a log: cause, fix, reference");
    verb->add_option("FILE", options->files, "logs; - or none: the standard input");
    verb->add_option("--gpu", options->gpu, "only failures that happen on this GPU, by id or alias");
    verb->add_option(
        "--inspect", options->inspected,
        "binaries, wheels or folders: is the cause true of them (as 'warpwright inspect' reads them)");
    verb->add_flag("--follow", options->follow,
                   "go on with what is written to the log, until Ctrl-C; a finding is shown when it comes");
    verb->add_flag("--json", options->json, "for machines");
    verb->footer(
        "Exits with 1 when there are findings. Lines that look like errors and are in no catalogue are "
        "listed apart.");
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
