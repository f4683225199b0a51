// SPDX-License-Identifier: Apache-2.0
// warpwright isa FILE.ptx --target T: which of its instructions are legal, native, emulated or slow there.
// warpwright isa FORM: the same of an instruction.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>

#include "cli/isa_output.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "image/mapped_file.h"
#include "inspect/isa/json.h"

namespace warpwright::cli {
namespace {

using inspect::IsaTarget;
using inspect::PtxText;
using Json = nlohmann::ordered_json;

struct Options {
    std::vector<std::string> what, targets;
    bool json = false, all = false;
};

constexpr size_t kMostLines = 12;

// Names and lines come from files: what is no UTF-8 is replaced.
void print_json(const Json& json) {
    fmt::print("{}\n", json.dump(1, ' ', false, Json::error_handler_t::replace));
}

bool is_file(const std::string& what) {
    std::error_code ignored;
    return what == "-" || what.ends_with(".ptx") || what.find('/') != what.npos ||
           std::filesystem::is_regular_file(what, ignored);
}

Result<PtxText> read(const std::string& path) {
    PtxText text;
    if (path == "-") {
        const std::string content{std::istreambuf_iterator<char>(std::cin), {}};
        text = inspect::read_text(content);
    } else {
        WW_ASSIGN(const MappedFile file, MappedFile::open(path));
        std::string content(file.bytes().size(), '\0');
        WW_TRY(file.read(0, std::as_writable_bytes(std::span(content))));
        text = inspect::read_text(content);
    }
    if (text.version == 0 && text.target.empty()) {
        return caller_error(fmt::format(
            "{}: expected PTX text, found neither .version nor .target; inspect --isa reads binaries", path));
    }
    return text;
}

// Whether all of them load there as they stand; without a target, somewhere.
bool is_good(const PtxText& text, const std::vector<IsaTarget>& targets) {
    if (targets.empty()) {
        const inspect::IsaReach reach = inspect::reach_of(text);
        return reach.targets != 0 && reach.refused_by_itself.empty();
    }
    return std::ranges::all_of(
        targets, [&](const IsaTarget& target) { return inspect::judge_text(text, target).is_good(); });
}

int run_files(const Options& options, const std::vector<IsaTarget>& targets) {
    bool good = true;
    Json files = Json::array();
    i64 done_bytes = 0, all_bytes = 0;
    std::error_code ignored;
    const auto bytes_of = [&](const std::string& path) {
        const auto bytes = std::filesystem::file_size(path, ignored);
        return ignored ? 0 : static_cast<i64>(bytes);
    };
    for (const std::string& path : options.what) all_bytes += bytes_of(path);
    Progress progress("isa");
    for (const std::string& path : options.what) {
        WW_CLI_ASSIGN(const PtxText text, read(path));
        done_bytes += bytes_of(path);
        progress.update(done_bytes, all_bytes);
        good = good && is_good(text, targets);
        if (options.json) {
            files.push_back(inspect::text_json(path, text, targets));
            continue;
        }
        progress.finish();
        print_text(path, text);
        const size_t most = options.all ? text.uses.size() : kMostLines;
        for (const IsaTarget& target : targets) print_verdict(text, target, most);
        if (targets.empty()) print_classes(text, options.all);
    }
    progress.finish();
    if (options.json) print_json({{"files", files}});
    return good ? 0 : kNegative;
}

int run_form(const Options& options, const std::vector<IsaTarget>& targets) {
    WW_CLI_ASSIGN(const auto forms, inspect::search_forms(fmt::format("{}", fmt::join(options.what, " "))));
    if (options.json) {
        Json list = Json::array();
        for (const isa::Form* const form : forms) list.push_back(inspect::form_json(*form));
        print_json({{"forms", list}});
    } else {
        print_forms(forms, options.all);
    }
    bool good = true;
    for (const IsaTarget& target : targets) {
        const isa::Form* legal = nullptr;
        int built = -1;
        size_t num_legal = 0;
        for (const isa::Form* const form : forms) {
            bool is_legal = false;
            for (const int architecture : target.architectures) {
                if (is_legal || form->way(architecture) == isa::Way::illegal) continue;
                is_legal = true;
                if (legal == nullptr) built = architecture;
                if (legal == nullptr) legal = form;
            }
            num_legal += is_legal ? 1 : 0;
        }
        good = good && num_legal != 0;
        if (options.json) continue;
        fmt::print("\n{}: {} of {} legal", target.name, num_legal, forms.size());
        if (forms.size() == 1 && legal != nullptr) {
            const std::string code = isa::code_text(*legal, built);
            fmt::print(", {}{}{}", isa::way_name(legal->way(built)), code.empty() ? "" : ": ", code);
        }
        fmt::print("\n");
    }
    return good ? 0 : kNegative;
}

int run(const Options& options) {
    std::vector<IsaTarget> targets;
    for (const std::string& name : options.targets) {
        WW_CLI_ASSIGN(IsaTarget target, inspect::find_isa_target(name));
        targets.push_back(std::move(target));
    }
    if (options.what.empty()) {
        if (options.json)
            print_json({{"families", inspect::families_json()}});
        else
            print_families();
        return 0;
    }
    return is_file(options.what.front()) ? run_files(options, targets) : run_form(options, targets);
}

}  // namespace

void add_isa(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand(
        "isa", "which PTX instructions are legal, native, emulated or slow on a GPU, of a file or by name");
    verb->add_option(
        "what", options->what,
        "PTX files ('-': standard input), or an instruction: mma.sync.m16n8k32.e4m3, tcgen05.mma, "
        "'cvt e2m1'; without it, the families of instructions");
    verb->add_option(
        "--target", options->targets,
        "a GPU ('warpwright targets' lists them) or a target of ptxas, such as sm_90a; else all");
    verb->add_flag("--all", options->all, "every form, not only those that differ");
    verb->add_flag("--json", options->json, "for machines");
    verb->footer(
        "Exit codes: 0; 1 where something is not legal there, or a file does not load as it stands.");
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
