// SPDX-License-Identifier: Apache-2.0
// warpwright inspect: what device code is in files, wheels, folders and installed environments, and where it
// runs.
#include "inspect/inspect.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>
#include <mutex>

#include "cli/inspect_output.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "inspect/container/printable.h"
#include "inspect/html.h"
#include "inspect/json.h"
#include "inspect/knowledge/drivers.h"
#include "inspect/text.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::vector<std::string> paths, environments, gpus, expected, isa;
    std::string html, driver, made_by;
    bool json = false, kernels = false, jit_caches = false;
    int threads = 0;
};

std::atomic<bool> interrupted = false;

// Ctrl-C ends the reading; what was read until then is still printed. A second one ends the program.
class Interruptible {
public:
    Interruptible()
        : before_(std::signal(SIGINT, [](int) {
              interrupted = true;
              std::signal(SIGINT, SIG_DFL);
          })) {}
    ~Interruptible() { std::signal(SIGINT, before_); }

private:
    void (*before_)(int);
};

Result<std::vector<Target>> targets_of(const Options& options) {
    std::vector<Target> chosen;
    const auto add = [&](const Target& target) {
        if (std::ranges::find(chosen, target.id, &Target::id) == chosen.end()) chosen.push_back(target);
    };
    for (const auto* names : {&options.gpus, &options.expected}) {
        for (const std::string& name : *names) {
            WW_ASSIGN(const Target target, find_target(name));
            if (target.facts.compute_capability == 0)
                return caller_error(fmt::format("{}: expected a GPU, 'warpwright targets' lists them", name));
            add(target);
        }
    }
    if (!chosen.empty()) return chosen;
    for (const Target& target : targets())
        if (target.facts.compute_capability != 0) add(target);
    return chosen;
}

Result<std::vector<std::string>> paths_of(const Options& options) {
    std::vector<std::string> paths = options.paths;
    for (const std::string& folder : options.environments) {
        WW_ASSIGN(const auto found, inspect::environment_paths(folder));
        paths.insert(paths.end(), found.begin(), found.end());
    }
    if (options.jit_caches) {
        for (const inspect::JitCache& cache : inspect::jit_caches()) paths.push_back(cache.path);
        if (paths.empty()) return caller_error("--jit-caches: none is there for this user");
    }
    if (paths.empty()) return caller_error("expected a path, --environment or --jit-caches; see --help");
    return paths;
}

// Prints what does not run where it was expected to. Whether everything does.
bool expectations_hold(const inspect::Report& report, const std::vector<Target>& targets,
                       const std::vector<std::string>& names) {
    bool hold = true;
    if (!names.empty() &&
        std::ranges::all_of(report.files, [](const auto& file) { return file.verdicts.empty(); })) {
        fmt::print(stderr, "no device code in {} files\n", report.num_files);
        return false;
    }
    for (const std::string& name : names) {
        const Target target = find_target(name).value();
        const auto index =
            static_cast<size_t>(std::ranges::find(targets, target.id, &Target::id) - targets.begin());
        for (const inspect::FileReport& file : report.files) {
            if (file.verdicts.empty()) continue;
            const inspect::Verdict& verdict = file.verdicts[index];
            if (verdict.runs == inspect::Runs::native || verdict.runs == inspect::Runs::jit) continue;
            // Beside what runs, kernels of other GPUs: no build of the same sources has them for this one.
            const bool complete = verdict.runs == inspect::Runs::partly && verdict.num_missing > 0 &&
                                  verdict.num_missing == verdict.num_for_others;
            fmt::print(stderr, "{}: {} on {}{}: {}\n", inspect::printable(file.path),
                       inspect::runs_name(verdict.runs), target.id,
                       complete ? fmt::format(", but {} made for other GPUs",
                                              verdict.num_missing == 1 ? "the rest is" : "all the rest are")
                                : "",
                       inspect::printable(verdict.text));
            hold = hold && complete;
        }
    }
    return hold;
}

Status write_page(const Options& options, const inspect::Report& report, const std::vector<Target>& targets,
                  const std::vector<std::string>& paths) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(options.html.c_str(), "wb"),
                                                               std::fclose);
    if (!file) return caller_error(fmt::format("--html {}: cannot be written", options.html));
    bool good = true;
    const std::string title = std::filesystem::path(paths.front()).filename().string() +
                              (paths.size() > 1 ? fmt::format(" and {} more", paths.size() - 1) : "");
    inspect::write_html(report, {targets, title, options.made_by}, [&](const std::string& text) {
        good = good && std::fwrite(text.data(), 1, text.size(), file.get()) == text.size();
    });
    if (!good || std::fflush(file.get()) != 0)
        return unavailable(fmt::format("--html {}: could not be written", options.html));
    return {};
}

int run(const Options& options) {
    WW_CLI_ASSIGN(const auto targets, targets_of(options));
    WW_CLI_ASSIGN(const auto paths, paths_of(options));
    inspect::InspectOptions how;
    how.targets = targets;
    how.threads = options.threads;
    for (const std::string& name : options.isa) {
        WW_CLI_ASSIGN(inspect::IsaTarget target, inspect::find_isa_target(name));
        how.isa.push_back(std::move(target));
    }
    if (!options.driver.empty()) {
        const auto driver = inspect::parse_driver(options.driver);
        if (!driver)
            return report(
                caller_error(fmt::format("--driver {}: expected a version such as 580.95", options.driver)));
        how.judge.driver = *driver;
    }
    Progress progress("inspect");
    std::mutex mutex;
    how.progress = [&](u64 done_bytes, u64 total_bytes) {
        const std::scoped_lock lock(mutex);
        progress.update(static_cast<i64>(done_bytes), static_cast<i64>(total_bytes));
    };
    how.stop = [] { return interrupted.load(); };
    inspect::Report found;
    {
        const Interruptible interruptible;
        WW_CLI_ASSIGN(found, inspect::inspect_paths(paths, how));
    }
    progress.finish();
    if (options.json) {
        inspect::write_json(
            found, [](const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); });
    } else {
        print_report(found, options.kernels);
    }
    if (!options.html.empty()) {
        if (const Status status = write_page(options, found, targets, paths); !status.ok())
            return report(status);
    }
    if (interrupted) {
        fmt::print(stderr, "interrupted: what was read until then\n");
        return 128 + SIGINT;
    }
    return expectations_hold(found, targets, options.expected) ? 0 : kNegative;
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand(
        "inspect", "what device code is in a file, wheel, folder or environment, and where it runs");
    verb->add_option(
        "path", options->paths,
        "ELF files, static archives, cubins, fatbins, PTX, wheels, zip and tar archives, folders");
    verb->add_option("--environment", options->environments,
                     "an installed Python environment: its prefix, or its site-packages");
    verb->add_flag("--jit-caches", options->jit_caches,
                   "this user's caches of Triton, FlashInfer, DeepGEMM, DeepEP and the driver");
    verb->add_option("--gpu", options->gpus,
                     "judge for these GPUs only (ids or aliases of 'warpwright targets')");
    verb->add_option(
        "--expect", options->expected,
        "exit 1 unless everything runs on this GPU, natively or from PTX, but for kernels made for "
        "others");
    verb->add_option(
        "--isa", options->isa,
        "the instructions of PTX on this GPU or target of ptxas (sm_90a): legal, emulated, slow; "
        "see 'warpwright isa'");
    verb->add_option("--driver", options->driver,
                     "judge for this driver, such as 570.86; else for a new one");
    verb->add_flag("--kernels", options->kernels, "list every kernel");
    verb->add_option("--html", options->html, "write one self-contained page");
    verb->add_flag("--json", options->json, "for machines");
    verb->add_option("--threads", options->threads,
                     "files read at once; by default as many as there are cores")
        ->check(CLI::NonNegativeNumber);
    verb->callback([=, &app, &action] {
        options->made_by = fmt::format("{}, {:%Y-%m-%d}", app.version(), fmt::localtime(std::time(nullptr)));
        action = [=] { return run(*options); };
    });
}

}  // namespace warpwright::cli
