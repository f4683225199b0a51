// SPDX-License-Identifier: Apache-2.0
// warpwright bench: our rows on a device, and beside them what a peer script measured in the same run.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/cases.h"
#include "bench/timing.h"
#include "cli/verb.h"
#include "warpwright/context.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::string device = "auto", set = "quick", op, row, peers, out;
    bool json = false, list = false;
};

struct PeerTime {
    std::string peer;
    double us = 0;
};

// Lines of bench/peers.py: {"op", "problem", "peer", "us"}; the fastest peer of a problem counts.
Result<std::map<std::string, PeerTime>> read_peers(const std::string& path) {
    std::map<std::string, PeerTime> peers;
    if (path.empty()) return peers;
    std::ifstream file(path);
    if (!file) return caller_error("cannot read " + path);
    for (std::string line; std::getline(file, line);) {
        const auto json = nlohmann::json::parse(line, nullptr, false);
        if (json.is_discarded() || !json.contains("us")) continue;
        const std::string key = json.value("op", "") + " " + json.value("problem", "");
        const PeerTime time{json.value("peer", ""), json["us"].get<double>()};
        if (const auto known = peers.find(key); known == peers.end() || time.us < known->second.us)
            peers[key] = time;
    }
    return peers;
}

// Enough sets of buffers that a walk over all of them is four times the L2, within a budget of memory.
int num_variants(const Target& target, double bytes) {
    const double l2_bytes = std::max<double>(static_cast<double>(target.facts.l2_bytes), 32e6);
    return std::clamp(static_cast<int>(std::ceil(4 * l2_bytes / bytes)), 2, 40);
}

Result<nlohmann::ordered_json> measure(Context& context, const bench::Case& item) {
    std::vector<std::unique_ptr<bench::Buffers>> buffers;
    std::vector<Prepared> variants;
    const int count = context.target().facts.build_target == BuildTarget::host
                          ? 1
                          : num_variants(context.target(), item.bytes);
    for (int i = 0; i < count; ++i) {
        buffers.push_back(std::make_unique<bench::Buffers>(context));
        variants.emplace_back();
        WW_TRY(item.prepare(context, *buffers.back(), variants.back()));
        WW_TRY(buffers.back()->status());
    }
    WW_ASSIGN(const bench::Timing timing, bench::time_prepared(context, variants));
    std::string rows;
    for (const auto& step : variants[0].steps) rows += (rows.empty() ? "" : " + ") + step.row;
    nlohmann::ordered_json json{{"op", item.op},
                                {"problem", item.problem},
                                {"row", rows},
                                {"us", timing.median_us},
                                {"min_us", timing.min_us},
                                {"max_us", timing.max_us},
                                {"gb_s", item.bytes / timing.median_us * 1e-3},
                                {"tflops", item.flops / timing.median_us * 1e-6},
                                {"launches", timing.num_launches},
                                {"buffers", timing.num_buffers}};
    return json;
}

std::string command_of(const Options& options) {
    std::string command = fmt::format("warpwright bench --device {} --set {}", options.device, options.set);
    if (!options.op.empty()) command += " --op " + options.op;
    if (!options.row.empty()) command += " --row " + options.row;
    if (!options.peers.empty()) command += " --peers FILE";
    return command;
}

int run(const Options& options) {
    if (options.set != "quick" && options.set != "full") {
        return report(caller_error(fmt::format("--set: expected quick or full, got '{}'", options.set)));
    }
    if (options.list) {
        for (const bench::Case& item : bench::cases(options.set)) {
            if (options.op.empty() || options.op == item.op) fmt::print("{} {}\n", item.op, item.problem);
        }
        return 0;
    }
    if (!options.row.empty() && options.op.empty())
        return report(caller_error("--row: expected --op beside it"));
    WW_CLI_ASSIGN(const auto peers, read_peers(options.peers));
    if (options.device.starts_with("emulated")) {
        return report(caller_error("--device " + options.device +
                                   ": an emulated GPU has no times; `why` and `plan` predict them"));
    }
    WW_CLI_ASSIGN(const auto context, Context::open(options.device));
    if (!options.row.empty()) context->force(options.op, options.row);
    nlohmann::ordered_json all{
        {"gpu", context->target().name},
        {"target", context->target().id},
        {"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))},
        {"command", command_of(options)},
        {"method", "median of captured graphs, rotating buffers of at least 4x L2, random data"}};
    all["cases"] = nlohmann::ordered_json::array();
    if (!options.json) {
        fmt::print("{:<52} {:>9} {:>8} {:>8} {:>9} {:>6}  {}\n", "problem", "us", "GB/s", "TFLOPS", "peer us",
                   "ratio", "row");
    }
    double log_sum = 0;
    int compared = 0, refused = 0;
    for (const bench::Case& item : bench::cases(options.set)) {
        if (!options.op.empty() && options.op != item.op) continue;
        auto measured = measure(*context, item);
        if (!measured.ok() && measured.status().kind() == ErrorKind::no_kernel && !options.row.empty()) {
            ++refused;  // the forced row does not serve this problem
            continue;
        }
        if (!measured.ok()) return report(measured.status());
        nlohmann::ordered_json json = std::move(*measured);
        std::string peer_us = "-", ratio = "-";
        if (const auto peer = peers.find(item.op + " " + item.problem); peer != peers.end()) {
            json["peer"] = peer->second.peer;
            json["peer_us"] = peer->second.us;
            const double speed = peer->second.us / json["us"].get<double>();
            json["ratio"] = speed;
            peer_us = fmt::format("{:.2f}", peer->second.us);
            ratio = fmt::format("{:.2f}", speed);
            log_sum += std::log(speed);
            ++compared;
        }
        if (!options.json) {
            fmt::print("{:<52} {:>9.2f} {:>8.0f} {:>8.1f} {:>9} {:>6}  {}\n", item.problem,
                       json["us"].get<double>(), json["gb_s"].get<double>(), json["tflops"].get<double>(),
                       peer_us, ratio, json["row"].get<std::string>());
            std::fflush(stdout);
        }
        all["cases"].push_back(std::move(json));
    }
    if (!options.json && compared > 0) {
        fmt::print("geometric mean of {} ratios (peer time / ours): {:.3f}\n", compared,
                   std::exp(log_sum / compared));
    }
    if (refused > 0) {
        fmt::print(stderr, "{} problems are not served by {} and were left out\n", refused, options.row);
    }
    if (options.json) fmt::print("{}\n", all.dump(1));
    if (!options.out.empty()) {
        std::ofstream file(options.out);
        file << all.dump(1) << '\n';
        if (!file.good()) return report(unavailable("cannot write " + options.out));
    }
    return 0;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("bench", "time our rows, side by side with peers");
    verb->add_option("--device", options->device, "auto, cpu, cuda:N")->capture_default_str();
    verb->add_option("--set", options->set, "quick or full")->capture_default_str();
    verb->add_option("--op", options->op, "this operation only");
    verb->add_option("--row", options->row, "force this row of --op");
    verb->add_option("--peers", options->peers, "output of bench/peers.py, made in the same run");
    verb->add_option("--out", options->out, "write the figures to this file as JSON");
    verb->add_flag("--list", options->list, "print the problems, for bench/peers.py");
    verb->add_flag("--json", options->json, "for machines");
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
