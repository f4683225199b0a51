// SPDX-License-Identifier: Apache-2.0
// warpwright check: every legal row against its oracle on a device. The report is what an owner of a GPU that
// we lack can send back.
#include <fmt/format.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "bench/measure.h"
#include "bench/results.h"
#include "check/report.h"
#include "check/run.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "warpwright/context.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::vector<std::string> devices = {"auto"};
    std::string op, report, against;
    std::vector<std::string> rows;
    u64 seed = 1;
    int threads = 0;
    bool json = false, no_contraction = false, forget = false, no_times = false;
};

constexpr double kRowBudgetUs = 20'000;  // of device time, where a report gets times

struct Other {  // what another device answered: a report of it
    std::string target;
    std::vector<CheckResult> results;
};

Result<Other> read_report(const std::string& path, bool contraction) {
    std::ifstream file(path);
    const auto json = nlohmann::json::parse(file, nullptr, false);
    try {
        if (json.at("contraction") != contraction) {
            return caller_error(fmt::format("--against {}: made {} --no-contraction, this check runs {} it",
                                            path, contraction ? "with" : "without",
                                            contraction ? "without" : "with"));
        }
        Other other{json.at("target"), {}};
        for (const auto& entry : json.at("results")) {
            CheckResult result{entry.at("op"), entry.at("row"), entry.at("problem")};
            result.input_digest = std::stoull(entry.at("inputs").get<std::string>(), nullptr, 16);
            result.output_digest = std::stoull(entry.at("outputs").get<std::string>(), nullptr, 16);
            other.results.push_back(std::move(result));
        }
        return other;
    } catch (const std::exception&) {
        return caller_error(fmt::format("--against {}: expected a report of 'warpwright check'", path));
    }
}

// Whether no result differs that must not.
bool compare_with(const Other& other, const std::vector<CheckResult>& results, bool print) {
    const BitComparison comparison = compare_bits(results, other.results);
    if (print) {
        for (const CheckResult* result : comparison.different)
            fmt::print("DIFFERENT BITS {}: {}\n", result->row, result->problem);
        fmt::print(
            "against {}: {} of the same bits, {} others of approximate rows, {} different, "
            "{} of other inputs, {} not there\n",
            other.target, comparison.equal, comparison.approximate, comparison.different.size(),
            comparison.other_inputs, comparison.unknown);
    }
    return comparison.different.empty() && comparison.other_inputs == 0;
}

void print_results(const Context& context, std::string_view op, std::span<const CheckResult> results,
                   bool several) {
    const CheckSummary summary = summarize(results);
    fmt::print("{:<18} {}{:3} rows  {:5} passed  {:3} failed  {:5} refused\n", op,
               several ? fmt::format("{:<20} ", context.target().id) : "", summary.rows, summary.passed,
               summary.failed, summary.refused);
    for (const CheckResult& result : results) {
        if (result.outcome != CheckResult::Outcome::failed) continue;
        fmt::print("  FAILED {}: {}\n         {}\n", result.row, result.problem, result.text);
    }
    std::fflush(stdout);
}

// How long the rows take that serve a few problems, for the report.
Result<bench::Json> times_json(Context& context) {
    bench::Json json = bench::Json::array();
    for (const bench::Case& item : bench::cases("quick")) {
        WW_ASSIGN(const bench::Subject subject, bench::Subject::make(context, item));
        WW_ASSIGN(const auto times, bench::time_rows(context, item, subject, kRowBudgetUs));
        bench::Json entry{{"op", item.op}, {"problem", item.problem}};
        bench::add_rows(entry, times, "");
        json.push_back(std::move(entry));
    }
    return json;
}

int forget_devices(const Options& options) {
    for (const std::string& name : options.devices) {
        WW_CLI_ASSIGN(const auto device, open_device(name));
        WW_CLI_ASSIGN(const bool known, forget(*device));
        fmt::print("{}: {}\n", device->id(), known ? "what checks found is forgotten" : "nothing was kept");
    }
    return 0;
}

// Runs everything, and prints an operation's line when it is done.
Status run_all(const CheckRequest& request, std::vector<CheckRun>& runs, bool quiet) {
    StepProgress progress("check", num_checks(request, runs));
    return run_checks(
        request, runs,
        {.checked =
             [&](const CheckResult& result, int, int) {
                 progress.next(result.op);
                 return true;
             },
         .finished_operation =
             [&](const CheckRun& run, std::string_view op, std::span<const CheckResult> results) {
                 progress.clear();
                 if (!quiet) print_results(*run.context, op, results, runs.size() > 1);
             }});
}

// Keeps what was found, and prints a line for each row that will not be chosen any more.
Status keep_trust(const CheckRun& run, bool quiet) {
    WW_ASSIGN(const auto verdicts, keep_verdicts(*run.context, run));
    const std::string path = trust_path(run.context->device());
    if (path.empty() || quiet) return {};
    for (const TrustVerdict& verdict : verdicts) {
        if (verdict.passed) continue;
        fmt::print("{} will not be chosen here with driver {} (kept in {}; check --forget undoes it)\n",
                   verdict.row, run.context->device().identity().driver, path);
    }
    return {};
}

int run(const Options& options) {
    if (options.forget) return forget_devices(options);
    std::optional<Other> other;
    if (!options.against.empty()) {
        WW_CLI_ASSIGN(other, read_report(options.against, !options.no_contraction));
    }
    std::vector<CheckRun> runs;
    for (const std::string& device : options.devices) {
        WW_CLI_ASSIGN(auto context, Context::open(device));
        if (options.no_contraction) context->forbid_contraction();
        const std::string name = device == "auto" ? context->device().id() : device;
        runs.push_back({.device = name, .context = std::move(context)});
    }
    const CheckRequest request{
        .op = options.op, .rows = options.rows, .seed = options.seed, .num_workers = options.threads};
    if (const Status status = run_all(request, runs, options.json); !status.ok()) return report(status);
    nlohmann::ordered_json reports = nlohmann::ordered_json::array();
    bool ok = true;
    for (const CheckRun& run : runs) {
        auto json = check_report(request, run);
        if (!options.report.empty() && !options.no_times && !run.context->device().identity().name.empty()) {
            WW_CLI_ASSIGN(json["times"], times_json(*run.context));
        }
        reports.push_back(std::move(json));
        const CheckSummary summary = summarize(run.results);
        ok = ok && summary.failed == 0;
        if (!options.json) {
            fmt::print("{} on {}: {} rows right, {} checks passed, {} failed, {} refused, {:.0f} s\n",
                       summary.failed == 0 ? "ok" : "FAILED", run.device, summary.rows, summary.passed,
                       summary.failed, summary.refused, run.seconds);
        }
        if (const Status status = keep_trust(run, options.json); !status.ok()) return report(status);
        if (other) ok = compare_with(*other, run.results, !options.json) && ok;
    }
    const std::string text = report_text(runs.size() == 1 ? reports[0] : reports);
    if (!options.report.empty()) {
        std::ofstream file(options.report);
        file << text;
        if (!file.flush()) return report(unavailable("cannot write " + options.report));
    }
    if (options.json) fmt::print("{}", text);
    return ok ? 0 : kNegative;
}

}  // namespace

void add_check(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("check", "every row of a device against its oracle");
    verb->add_option(
            "--device", options->devices,
            "auto, cpu, cuda:N, emulated:GPU[,checks=off|bounds|all][,seed=N][,threads=N]; several are "
            "checked one after the other")
        ->capture_default_str();
    verb->add_option("--op", options->op, "this operation only");
    verb->add_option("--row", options->rows, "this row only; several may be named");
    verb->add_option("--seed", options->seed, "of the random inputs")->capture_default_str();
    verb->add_option("--report", options->report, "write all results to this file as JSON");
    verb->add_flag("--no-contraction", options->no_contraction,
                   "compile kernels anew so that no product and sum become one fma: bits can be compared");
    verb->add_option("--against", options->against,
                     "report of another device: results must have the same bits, but for approximate rows");
    verb->add_flag("--json", options->json, "for machines");
    verb->add_option("--threads", options->threads,
                     "problems checked at a time; by default all cores for a GPU, else one");
    verb->add_flag("--forget", options->forget, "forget what earlier checks of this device found");
    verb->add_flag("--no-times", options->no_times, "a GPU's report without the times of a few problems");
    verb->footer(
        "A refused check is a problem that a row does not serve: it says so, and that is right.\n"
        "What was found out about a GPU's rows is kept in the cache folder: a row that failed is not chosen\n"
        "on that GPU and driver, and `why --device D` says so.\n"
        "A report holds: the GPU's model and figures, the driver's version, the date, this command, every\n"
        "row's error, digests of its inputs and outputs, and times. Nothing of you or of your machine: no\n"
        "names, paths or serial numbers.");
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
