// SPDX-License-Identifier: Apache-2.0
// warpwright targets [NAME]: the GPUs that can be planned for, and the figures a plan rests on.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/verb.h"
#include "dispatch/targets_json.h"
#include "warpwright/target.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::string name;
    bool json = false;
};

std::string rate(double value) {
    return value == 0 ? "-" : fmt::format("{:.0f}", value);
}

int show_all() {
    fmt::print("{:<20} {:>4} {:>4} {:>9} {:>7} {:>8} {:>6} {:>6} {:>6}  {:<8} {}\n", "id", "cc", "SMs",
               "memory GB", "GB/s", "KiB/blk", "bf16", "fp8", "fp4", "images", "unsure");
    for (const Target& target : targets()) {
        const TargetFacts& f = target.facts;
        fmt::print(
            "{:<20} {:>4} {:>4} {:>9.0f} {:>7.0f} {:>8} {:>6} {:>6} {:>6}  {:<8} {}\n", target.id,
            f.compute_capability == 0
                ? "-"
                : fmt::format("{}.{}", f.compute_capability / 10, f.compute_capability % 10),
            f.num_sms, static_cast<double>(f.memory_bytes) / (1 << 30), f.memory_gb_s,
            f.build_target == BuildTarget::host ? "-" : std::to_string(f.shared_per_block_bytes / 1024),
            rate(f.bf16_tflops), rate(f.fp8_tflops), rate(f.fp4_tflops), build_target_name(f.build_target),
            fmt::join(target.unsure, ", "));
    }
    fmt::print(
        "\nbf16, fp8, fp4: dense TFLOPS with fp32 accumulation. Aliases and sources: warpwright targets "
        "NAME\n");
    return 0;
}

int show_one(const Target& target) {
    const nlohmann::ordered_json facts = target_json(target);
    for (const auto& [key, value] : facts.items()) {
        if (value.is_array() && key != "links") {
            std::vector<std::string> names = value.get<std::vector<std::string>>();
            fmt::print("{:<23} {}\n", key, names.empty() ? "-" : fmt::format("{}", fmt::join(names, ", ")));
        } else if (key == "links") {
            for (const Link& link : target.links) {
                fmt::print("{:<23} {} {} GB/s{}\n", "link", link.kind, link.gb_s,
                           link.peer_access ? "" : ", no peer access");
            }
        } else {
            fmt::print("{:<23} {}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
        }
    }
    return 0;
}

int run(const Options& options) {
    if (!options.name.empty()) {
        WW_CLI_ASSIGN(const Target target, find_target(options.name));
        if (!options.json) return show_one(target);
        fmt::print("{}\n", target_json(target).dump(2));
        return 0;
    }
    if (!options.json) return show_all();
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const Target& target : targets()) all.push_back(target_json(target));
    fmt::print("{}\n", all.dump(2));
    return 0;
}

}  // namespace

void add_targets(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("targets", "the GPUs that can be planned for");
    verb->add_option("NAME", options->name, "one of them, by id or alias");
    verb->add_flag("--json", options->json, "for machines");
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
