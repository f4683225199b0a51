// SPDX-License-Identifier: Apache-2.0
// warpwright check: every legal row against its oracle on a device. The report is what an owner of a GPU that
// we lack can send back.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "bench/measure.h"
#include "bench/results.h"
#include "check/report.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "warpwright/context.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::vector<std::string> devices = {"auto"};
    std::string op, row, report, against;
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

struct DeviceRun {
    std::shared_ptr<Context> context;
    std::vector<CheckResult> results;
    double seconds = 0;
};

void print_results(const Context& context, std::string_view op, const std::vector<CheckResult>& results,
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

// A GPU leaves the processor free for oracles; elsewhere the kernels themselves run on all of it.
int num_workers(const Context& context, const Options& options) {
    if (options.threads > 0) return options.threads;
    const BuildTarget target = context.target().facts.build_target;
    const bool on_gpu = target != BuildTarget::host && !context.device().identity().name.empty();
    return on_gpu ? static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 32u)) : 1;
}

std::string command_of(const Options& options, const std::string& device) {
    return fmt::format("warpwright check --device {} --seed {}{}{}{}", device, options.seed,
                       options.op.empty() ? "" : " --op " + options.op,
                       options.row.empty() ? "" : " --row " + options.row,
                       options.no_contraction ? " --no-contraction" : "");
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

// Runs all checks on all devices, operation by operation, so that devices share the oracles' answers.
void run_checks(const Options& options, std::vector<DeviceRun>& runs) {
    int num_checks = 0;
    for (const OperationCheck* check : operation_checks()) {
        if (!options.op.empty() && options.op != check->op()) continue;
        for (const DeviceRun& run : runs)
            num_checks += check->num_checks(run.context->target().facts, options.row);
    }
    StepProgress progress("check", num_checks);
    for (const OperationCheck* check : operation_checks()) {
        if (!options.op.empty() && options.op != check->op()) continue;
        CheckAnswers answers;  // shared by the devices
        for (DeviceRun& run : runs) {
            const auto start = std::chrono::steady_clock::now();
            const auto results = check->run(*run.context,
                                            {.row = options.row,
                                             .seed = options.seed,
                                             .num_workers = num_workers(*run.context, options),
                                             .progress = [&] { progress.next(std::string(check->op())); }},
                                            answers);
            run.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            progress.clear();
            if (!options.json) print_results(*run.context, check->op(), results, runs.size() > 1);
            run.results.insert(run.results.end(), results.begin(), results.end());
        }
    }
}

// What the device is remembered for, and a line where that changes what will be chosen.
Status keep_trust(const Options& options, const DeviceRun& run) {
    if (options.no_contraction) return {};  // other kernels than those that are chosen
    const auto verdicts = verdicts_of(run.results);
    WW_TRY(remember(run.context->device(), verdicts));
    const std::string path = trust_path(run.context->device());
    if (path.empty() || options.json) return {};
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
    const auto checks = operation_checks();
    if (!options.op.empty() && std::none_of(checks.begin(), checks.end(), [&](const OperationCheck* check) {
            return options.op == check->op();
        })) {
        return report(caller_error(fmt::format("no check for operation '{}'", options.op)));
    }
    std::vector<DeviceRun> runs;
    for (const std::string& device : options.devices) {
        WW_CLI_ASSIGN(auto context, Context::open(device));
        if (options.no_contraction) context->forbid_contraction();
        runs.push_back({std::move(context), {}});
    }
    run_checks(options, runs);
    nlohmann::ordered_json reports = nlohmann::ordered_json::array();
    bool ok = true;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        Context& context = *runs[i].context;
        if (runs[i].results.empty()) {
            return report(
                caller_error(fmt::format("no row named '{}' runs on {}", options.row, context.target().id)));
        }
        const std::string& device = options.devices[i] == "auto" ? context.device().id() : options.devices[i];
        auto json = check_report(context, runs[i].results,
                                 {.device = device,
                                  .command = command_of(options, device),
                                  .seed = options.seed,
                                  .seconds = runs[i].seconds});
        if (!options.report.empty() && !options.no_times && !context.device().identity().name.empty()) {
            WW_CLI_ASSIGN(json["times"], times_json(context));
        }
        reports.push_back(std::move(json));
        const CheckSummary summary = summarize(runs[i].results);
        ok = ok && summary.failed == 0;
        if (!options.json) {
            fmt::print("{} on {}: {} rows right, {} checks passed, {} failed, {} refused, {:.0f} s\n",
                       summary.failed == 0 ? "ok" : "FAILED", device, summary.rows, summary.passed,
                       summary.failed, summary.refused, runs[i].seconds);
        }
        if (const Status status = keep_trust(options, runs[i]); !status.ok()) return report(status);
        if (other) ok = compare_with(*other, runs[i].results, !options.json) && ok;
    }
    const nlohmann::ordered_json& json = runs.size() == 1 ? reports[0] : reports;
    if (!options.report.empty()) {
        std::ofstream file(options.report);
        file << json.dump(1) << '\n';
        if (!file.good()) return report(unavailable("cannot write " + options.report));
    }
    if (options.json) fmt::print("{}\n", json.dump(1));
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
    verb->add_option("--row", options->row, "this row only");
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
