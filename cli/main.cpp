// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "cli/verb.h"
#include "engine/json_fields.h"

namespace warpwright::cli {

int report(const Status& status) {
    std::string message = status.message();
    // A refusal that names every row reads better one row to a line.
    if (const auto rows = message.find("; rows tried: "); rows != std::string::npos) {
        std::string list = message.substr(rows + 14);
        message = message.substr(0, rows) + "; rows tried:";
        for (std::size_t at = 0; at != std::string::npos;) {
            const auto next = list.find("), ", at);
            message += "\n  " + list.substr(at, next == std::string::npos ? next : next - at + 1);
            at = next == std::string::npos ? next : next + 3;
        }
    }
    // Names and texts from files reach a terminal as text only.
    std::string shown;
    for (std::size_t at = 0; at <= message.size();) {
        const auto end = std::min(message.find('\n', at), message.size());
        shown += printable(std::string_view(message).substr(at, end - at), message.size()) + '\n';
        at = end + 1;
    }
    fmt::print(stderr, "error: {}", shown);
    return status.kind() == ErrorKind::no_kernel ? kNegative : kBadInput;
}

Result<FieldTexts> parse_settings(std::string_view option, const std::string& text) {
    FieldTexts settings;
    for (std::size_t start = 0; start < text.size();) {
        const std::size_t comma = std::min(text.find(',', start), text.size());
        const std::string setting = text.substr(start, comma - start);
        const std::size_t equals = setting.find('=');
        if (equals == std::string::npos || equals == 0) {
            return caller_error(fmt::format("{}: expected name=value, got '{}'", option, setting));
        }
        settings.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
        start = comma + 1;
    }
    return settings;
}

}  // namespace warpwright::cli

int main(int argc, char** argv) {
    using namespace warpwright::cli;
    CLI::App app{
        "LLM inference kernels for every NVIDIA GPU from Ampere on, behind one planner that says which\n"
        "kernel runs, why, and what it will cost - also for a GPU that is not in the machine.",
        "warpwright"};
    app.require_subcommand(1);
    app.set_version_flag("--version", "warpwright " WW_VERSION);
    app.footer(
        "Exit codes: 0; 1 for a negative answer (no kernel, does not fit, a failed check); 2 for bad input.");
    Action action;
    add_probe(app, action);
    add_targets(app, action);
    add_kernels(app, action);
    add_why(app, action);
    add_plan(app, action);
    add_run(app, action);
    add_check(app, action);
    add_bench(app, action);
    add_tune(app, action);
    add_quantize(app, action);
    add_inspect(app, action);
    add_diagnose(app, action);
    add_libraries(app, action);
    add_isa(app, action);
    try {
        app.parse(argc, argv);
        return action();
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
        fmt::print(stderr, "error: {} (see --help)\n", error.what());
        return kBadInput;
    } catch (const std::exception& error) {
        fmt::print(stderr, "error: internal: {}\n", error.what());
        return kBadInput;
    }
}
