// SPDX-License-Identifier: Apache-2.0
// warpwright check: every legal row against its oracle on a device. The report is what an owner of a GPU that
// we lack can send back.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "check/check.h"
#include "cli/verb.h"
#include "warpwright/context.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::vector<std::string> devices = {"auto"};
    std::string op, row, report, against;
    u64 seed = 1;
    bool json = false, no_contraction = false;
};

const char* outcome_name(CheckResult::Outcome outcome) {
    switch (outcome) {
        case CheckResult::Outcome::passed: return "passed";
        case CheckResult::Outcome::failed: return "failed";
        case CheckResult::Outcome::refused: return "refused";
    }
    return "?";
}

nlohmann::ordered_json report_json(const Context& context, const std::vector<CheckResult>& results, u64 seed,
                                   const std::string& device, const std::string& selection) {
    const CheckSummary summary = summarize(results);
    nlohmann::ordered_json json{
        {"device", device},
        {"target", context.target().id},
        {"gpu", context.target().name},
        {"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))},
        {"command", fmt::format("warpwright check --device {} --seed {}{}", device, seed, selection)},
        {"seed", seed},
        {"contraction", context.allows_contraction()},
        {"passed", summary.passed},
        {"failed", summary.failed},
        {"refused", summary.refused},
        {"rows", summary.rows}};
    json["results"] = nlohmann::ordered_json::array();
    for (const CheckResult& result : results) {
        json["results"].push_back({{"op", result.op},
                                   {"row", result.row},
                                   {"problem", result.problem},
                                   {"outcome", outcome_name(result.outcome)},
                                   {"error", result.error},
                                   {"bound", result.bound},
                                   {"inputs", fmt::format("{:016x}", result.input_digest)},
                                   {"outputs", fmt::format("{:016x}", result.output_digest)},
                                   {"approximate", result.approximate},
                                   {"text", result.text}});
    }
    return json;
}

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

int run(const Options& options) {
    std::optional<Other> other;
    if (!options.against.empty()) {
        WW_CLI_ASSIGN(other, read_report(options.against, !options.no_contraction));
    }
    std::vector<DeviceRun> runs;
    for (const std::string& device : options.devices) {
        WW_CLI_ASSIGN(auto context, Context::open(device));
        if (options.no_contraction) context->forbid_contraction();
        runs.push_back({std::move(context), {}});
    }
    bool known_op = options.op.empty();
    for (const OperationCheck* check : operation_checks()) {
        if (!options.op.empty() && options.op != check->op()) continue;
        known_op = true;
        CheckAnswers answers;  // shared by the devices
        for (DeviceRun& run : runs) {
            const auto results =
                check->run(*run.context, {.row = options.row, .seed = options.seed}, answers);
            if (!options.json) print_results(*run.context, check->op(), results, runs.size() > 1);
            run.results.insert(run.results.end(), results.begin(), results.end());
        }
    }
    if (!known_op) return report(caller_error(fmt::format("no check for operation '{}'", options.op)));
    const std::string selection = (options.op.empty() ? "" : " --op " + options.op) +
                                  (options.row.empty() ? "" : " --row " + options.row) +
                                  (options.no_contraction ? " --no-contraction" : "");
    nlohmann::ordered_json reports = nlohmann::ordered_json::array();
    bool ok = true;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const Context& context = *runs[i].context;
        if (runs[i].results.empty()) {
            return report(
                caller_error(fmt::format("no row named '{}' runs on {}", options.row, context.target().id)));
        }
        const std::string& device =
            options.devices[i] == "auto" ? runs[i].context->device().id() : options.devices[i];
        reports.push_back(report_json(context, runs[i].results, options.seed, device, selection));
        const CheckSummary summary = summarize(runs[i].results);
        ok = ok && summary.failed == 0;
        if (!options.json) {
            fmt::print("{} on {}: {} rows right, {} checks passed, {} failed, {} refused\n",
                       summary.failed == 0 ? "ok" : "FAILED", device, summary.rows, summary.passed,
                       summary.failed, summary.refused);
        }
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
    verb->footer("A refused check is a problem that a row does not serve: it says so, and that is right.");
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
