// SPDX-License-Identifier: Apache-2.0
// warpwright libraries [NAME]: the libraries an inference engine is made of, where each runs, why not
// elsewhere, and what we have for the same work.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/verb.h"
#include "inspect/libraries/output.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::string name, gpu, html, made_by;
    bool json = false;
};

Result<libraries::View> view_of(const Options& options) {
    libraries::View view;
    if (options.gpu.empty()) return view;
    WW_ASSIGN(const Target target, find_target(options.gpu));
    WW_ASSIGN([[maybe_unused]] const int capability, libraries::class_of(target));
    view.gpu = target;
    return view;
}

Status write_page(const Options& options, const libraries::View& view) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(options.html.c_str(), "wb"),
                                                               std::fclose);
    if (!file) return caller_error(fmt::format("--html {}: cannot be written", options.html));
    bool good = true;
    libraries::write_html(view, options.made_by, [&](const std::string& text) {
        good = good && std::fwrite(text.data(), 1, text.size(), file.get()) == text.size();
    });
    if (!good || std::fflush(file.get()) != 0)
        return unavailable(fmt::format("--html {}: could not be written", options.html));
    return {};
}

int run(const Options& options) {
    WW_CLI_ASSIGN(const libraries::View view, view_of(options));
    const libraries::Library* one = nullptr;
    if (!options.name.empty()) {
        WW_CLI_ASSIGN(one, libraries::find_library(options.name));
    }
    if (!options.html.empty()) {
        if (one != nullptr)
            return report(caller_error("--html: expected no NAME, the page is of all libraries"));
        if (const Status status = write_page(options, view); !status.ok()) return report(status);
    }
    if (options.json)
        fmt::print("{}\n", (one != nullptr ? to_json(*one, view) : libraries::to_json(view)).dump(2));
    else if (options.html.empty())
        fmt::print("{}", one != nullptr ? library_text(*one, view) : table_text(view));
    return 0;
}

}  // namespace

void add_libraries(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand(
        "libraries", "kernel libraries and engines: where each runs, known failures, how to recognise it");
    verb->add_option(
        "NAME", options->name,
        "one of them: what it is, what it depends on, SM100, SM120, failures, detection, references");
    verb->add_option("--gpu", options->gpu, "for one GPU, by id or alias");
    verb->add_option("--html", options->html, "write one self-contained page");
    verb->add_flag("--json", options->json, "for machines");
    verb->callback([=, &app, &action] {
        options->made_by = app.version() + ": warpwright libraries";
        action = [=] { return run(*options); };
    });
}

}  // namespace warpwright::cli
