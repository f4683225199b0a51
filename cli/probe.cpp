// SPDX-License-Identifier: Apache-2.0
// warpwright probe: what is in this machine, or in one that was written down, and what follows from it.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "cli/probe_output.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "device/machine.h"
#include "device/machine_json.h"
#include "inspect/machine/packages.h"
#include "inspect/machine/page.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::string machine, html, made_by;
    std::vector<std::string> environments;
    bool json = false, packages = false, all = false;
};

Result<Machine> machine_of(const Options& options) {
    if (options.machine.empty()) return probe_machine();
    std::ifstream file(options.machine, std::ios::binary);
    if (!file) return caller_error(fmt::format("--machine {}: cannot be read", options.machine));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return machine_from_json(text, "--machine " + options.machine);
}

Status judge_packages(const Options& options, Machine& machine) {
    Progress progress("inspect packages");
    std::mutex mutex;
    const auto update = [&](u64 done_bytes, u64 total_bytes) {
        const std::scoped_lock lock(mutex);
        progress.update(static_cast<i64>(done_bytes), static_cast<i64>(total_bytes));
    };
    const bool named = !options.environments.empty();
    return inspect::judge_packages(named ? options.environments : python_folders(), machine, update);
}

Status write_page(const Options& options, const Machine& machine) {
    std::ofstream file(options.html, std::ios::binary);
    if (!file) return caller_error(fmt::format("--html {}: cannot be written", options.html));
    inspect::write_machine_page(machine, options.made_by, [&](const std::string& text) { file << text; });
    file.flush();
    if (!file) return unavailable(fmt::format("--html {}: could not be written", options.html));
    return {};
}

int run(const Options& options) {
    WW_CLI_ASSIGN(Machine machine, machine_of(options));
    if (options.packages) {
        if (const Status status = judge_packages(options, machine); !status.ok()) return report(status);
    }
    if (!options.html.empty()) {
        if (const Status status = write_page(options, machine); !status.ok()) return report(status);
    }
    if (options.json) {
        using nlohmann::ordered_json;
        // A variable's value need not be UTF-8.
        fmt::print("{}\n", machine_json(machine).dump(2, ' ', false, ordered_json::error_handler_t::replace));
    } else {
        print_machine(machine);
        if (options.all) print_known_variables(machine);
    }
    return 0;
}

}  // namespace

void add_probe(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand(
        "probe", "this machine's GPUs, links, driver, compilers and packages, and what follows");
    verb->add_option("--machine", options->machine,
                     "a machine that 'probe --json' wrote down, in place of this one");
    CLI::Option* packages = verb->add_option("--packages", options->environments,
                                             "inspect the files of installed Python packages, of these "
                                             "environments or of all that are found: takes a while");
    packages->expected(0, -1);
    verb->add_option("--html", options->html, "write one self-contained page");
    verb->add_flag("--all", options->all, "list every environment variable that is known to change dispatch");
    verb->add_flag("--json", options->json, "for machines");
    verb->callback([=, &app, &action] {
        options->packages = packages->count() > 0;
        std::erase(options->environments, "");  // the option without a value
        options->made_by = fmt::format("{}, {:%Y-%m-%d}", app.version(), fmt::localtime(std::time(nullptr)));
        action = [=] { return run(*options); };
    });
}

}  // namespace warpwright::cli
