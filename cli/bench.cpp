// SPDX-License-Identifier: Apache-2.0
// warpwright bench: our rows on a device, and beside them what a peer script measured in the same run.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <memory>

#include "bench/measure.h"
#include "bench/results.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "warpwright/context.h"

namespace warpwright::cli {
namespace {

constexpr double kRowBudgetUs = 40'000;  // of device time, where all rows are timed

struct Options {
    std::string device = "auto", set = "quick", op, problem, row, rows = "chosen", peers, out;
    bool json = false, list = false, quick = false, resume = false, no_roofline = false, host = false;
};

std::string command_of(const Options& options) {
    std::string command = fmt::format("warpwright bench --device {} --set {}", options.device, options.set);
    if (!options.op.empty()) command += " --op " + options.op;
    if (!options.problem.empty()) command += " --problem '" + options.problem + "'";
    if (!options.row.empty()) command += " --row " + options.row;
    if (options.rows != "chosen") command += " --rows " + options.rows;
    if (!options.peers.empty()) command += " --peers FILE";
    return command;
}

Status check_options(const Options& options) {
    if (options.set != "quick" && options.set != "full")
        return caller_error(fmt::format("--set: expected quick or full, got '{}'", options.set));
    if (options.rows != "chosen" && options.rows != "all")
        return caller_error(fmt::format("--rows: expected chosen or all, got '{}'", options.rows));
    if (!options.row.empty() && options.op.empty()) return caller_error("--row: expected --op beside it");
    if (!options.row.empty() && options.rows == "all")
        return caller_error("--row and --rows all exclude each other");
    if (options.resume && options.out.empty()) return caller_error("--resume: expected --out beside it");
    if (options.device.starts_with("emulated")) {
        return caller_error("--device " + options.device +
                            ": an emulated GPU has no times; `why` and `plan` predict them");
    }
    return {};
}

// Both figures, or the reason why there are none.
bench::Roofline roofline(Context& context, const Options& options, bench::Json& head) {
    if (options.no_roofline) return {};
    const auto measured = bench::measure_roofline(context);
    if (!measured.ok()) {
        head["roofline"] = {{"problem", measured.status().message()}};
        return {};
    }
    head["roofline"] = {{"read_gb_s", measured->read_gb_s}, {"copy_gb_s", measured->copy_gb_s}};
    return *measured;
}

std::string head_text(const bench::Json& head) {
    std::string text =
        fmt::format("{}, {}; ", head["gpu"].get<std::string>(), head["date"].get<std::string>());
    if (!head.contains("roofline")) return text + "bandwidth not measured";
    const bench::Json& roof = head["roofline"];
    if (roof.contains("problem"))
        return text + "bandwidth not measured: " + roof["problem"].get<std::string>();
    return text + fmt::format("our kernels read {:.0f} GB/s and copy {:.0f} GB/s (read + written)",
                              roof["read_gb_s"].get<double>(), roof["copy_gb_s"].get<double>());
}

Result<bench::Json> measure(Context& context, const Options& options, const bench::Case& item,
                            const bench::Roofline& roof, const bench::Peers& peers) {
    WW_ASSIGN(const bench::Subject subject, bench::Subject::make(context, item));
    WW_ASSIGN(const auto chosen, subject.prepare());
    const bool all_rows = options.rows == "all";
    WW_ASSIGN(const bench::Timing timing,
              bench::time_prepared(context, chosen.variants, {.us = all_rows ? kRowBudgetUs : 0}));
    bench::Json json = bench::case_json(item, chosen.rows(), timing, roof, peers.of(item.op, item.problem));
    if (all_rows) {
        WW_ASSIGN(const auto times, bench::time_rows(context, item, subject, kRowBudgetUs));
        const auto is_own = [&](const Prepared::Step& step) {
            return step.row.starts_with(item.operation() + ".");
        };
        bench::add_rows(json, times, std::ranges::find_if(chosen.variants[0].steps, is_own)->row);
    }
    return json;
}

std::vector<bench::Case> selected_cases(const Options& options) {
    std::vector<bench::Case> selected;
    for (bench::Case& item : bench::cases(options.set)) {
        const bool is_asked = (options.op.empty() || options.op == item.op) &&
                              item.problem.find(options.problem) != std::string::npos;
        if (is_asked) selected.push_back(std::move(item));
    }
    return selected;
}

void print(const bench::Json& json) {
    fmt::print("{}{}", bench::case_line(json), bench::row_lines(json));
    std::fflush(stdout);
}

bench::Json head_of(Context& context, const std::string& command) {
    return {{"gpu", context.target().name},
            {"target", context.target().id},
            {"driver", context.device().identity().driver},
            {"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))},
            {"command", command}};
}

int run_host(const Options& options) {
    WW_CLI_ASSIGN(const auto context, Context::open(options.device));
    WW_CLI_ASSIGN(const auto overheads, bench::measure_host_overhead(*context));
    bench::Json json = head_of(*context, fmt::format("warpwright bench --device {} --host", options.device));
    json["host_overhead"] = bench::host_json(overheads);
    fmt::print("{}", options.json ? json.dump(1) + "\n" : bench::host_lines(overheads));
    if (!options.out.empty()) {
        if (const Status status = bench::Results::save(json, options.out); !status.ok())
            return report(status);
    }
    return 0;
}

int run(Options options) {
    if (options.host) return run_host(options);
    if (options.quick) options.set = "quick";
    if (const Status status = check_options(options); !status.ok()) return report(status);
    const std::vector<bench::Case> cases = selected_cases(options);
    if (cases.empty())
        return report(caller_error(options.problem.empty()
                                       ? fmt::format("--op: no problem of '{}'", options.op)
                                       : fmt::format("--problem: none has '{}'", options.problem)));
    if (options.list) {
        for (const bench::Case& item : cases) fmt::print("{} {}\n", item.op, item.problem);
        return 0;
    }
    WW_CLI_ASSIGN(const auto peers, bench::Peers::read(options.peers));
    WW_CLI_ASSIGN(const auto context, Context::open(options.device));
    if (!options.row.empty()) context->force(options.op, options.row);
    bench::Json head = head_of(*context, command_of(options));
    head["method"] =
        "median of captured graphs, rotating buffers of at least 4x L2, random data; our launches overlap, "
        "gemm's weights are promised constant, decode's past to be ready";
    const bench::Roofline roof = roofline(*context, options, head);
    bench::Results results(std::move(head));
    if (options.resume) {
        if (const Status status = results.resume(options.out); !status.ok()) return report(status);
    }
    if (!options.json) fmt::print("{}\n{}", head_text(results.json()), bench::heading_line());
    StepProgress progress("bench", static_cast<int>(cases.size()));
    int refused = 0;
    for (const bench::Case& item : cases) {
        if (const bench::Json* known = results.find(item)) {
            if (!options.json) print(*known);
            progress.skip();
            continue;
        }
        progress.next(item.op + " " + item.problem);
        auto measured = measure(*context, options, item, roof, peers);
        if (!measured.ok() && measured.status().kind() == ErrorKind::no_kernel && !options.row.empty()) {
            ++refused;  // the forced row does not serve this problem
            continue;
        }
        if (!measured.ok()) return report(measured.status());
        progress.clear();
        if (!options.json) print(*measured);
        results.add(std::move(*measured));
        if (options.out.empty()) continue;
        if (const Status status = results.save(options.out); !status.ok()) return report(status);
    }
    progress.clear();
    if (refused > 0) {
        fmt::print(stderr, "{} problems are not served by {} and were left out\n", refused, options.row);
    }
    const bench::Json& json = results.json();
    if (options.json) {
        fmt::print("{}\n", json.dump(1));
    } else {
        fmt::print("\n{}{}", bench::group_lines(json["cases"]), bench::choice_lines(json["cases"]));
    }
    if (!options.out.empty()) {
        if (const Status status = results.save(options.out); !status.ok()) return report(status);
    }
    return 0;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("bench", "time our rows, side by side with peers");
    verb->add_option("--device", options->device, "auto, cpu, cuda:N")->capture_default_str();
    verb->add_option("--set", options->set, "quick or full")->capture_default_str();
    verb->add_flag("--quick", options->quick, "--set quick: with its peers, within two minutes");
    verb->add_option("--op", options->op, "this operation only");
    verb->add_option("--problem", options->problem, "problems with this text only, as --list prints them");
    verb->add_option("--row", options->row, "force this row of --op");
    verb->add_option("--rows", options->rows,
                     "all: time every row that serves, and say how good the chosen ones are")
        ->capture_default_str();
    verb->add_option("--peers", options->peers, "output of bench/peers.py, made in the same run");
    verb->add_option("--out", options->out, "write the figures to this file as JSON, after every problem");
    verb->add_flag("--resume", options->resume, "go on with an interrupted run into --out");
    verb->add_flag("--no-roofline", options->no_roofline,
                   "do not measure what memory gives to plain kernels");
    verb->add_flag("--host", options->host,
                   "what the host does for an operation: choosing, preparing, enqueueing");
    verb->add_flag("--list", options->list, "print the problems, for bench/peers.py");
    verb->add_flag("--json", options->json, "for machines");
    verb->footer(
        "share: bytes that must move, over what our own kernel reads or copies in the same time.\n"
        "x peer: time of the peer that the problem is held to, over ours; x best: of the fastest peer.");
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
