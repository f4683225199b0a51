// SPDX-License-Identifier: Apache-2.0
// warpwright plan: a model on GPUs that need not be here.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <memory>

#include "cli/notes.h"
#include "cli/verb.h"
#include "device/named_target.h"
#include "dispatch/nearest.h"
#include "engine/config.h"
#include "engine/quantize.h"
#include "warpwright/plan.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::string model, link, prompt, html, why, activations = "auto";
    std::vector<std::string> gpus{"auto"}, formats, kv_formats, batches{"1"}, contexts;
    int num_gpus = 1;
    bool list = false, json = false, verbose = false, batch_invariant = false;
};

Result<std::vector<Target>> targets_of(const std::vector<std::string>& names) {
    std::vector<Target> found;
    for (const std::string& name : names) {
        if (name == "all") {
            found.insert(found.end(), targets().begin(), targets().end());
        } else {
            WW_ASSIGN(Target target, named_target(name));
            found.push_back(std::move(target));
        }
    }
    return found;
}

// "2048", "8k", "1m".
Result<i64> number_of(const char* option, const std::string& text) {
    i64 value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string_view suffix(end, text.data() + text.size());
    const i64 factor = suffix.empty()                   ? 1
                       : suffix == "k" || suffix == "K" ? 1024
                       : suffix == "m" || suffix == "M" ? 1 << 20
                                                        : 0;
    if (error != std::errc() || factor == 0 || value < 1 || value > (i64{1} << 40)) {
        return caller_error(
            fmt::format("--{}: expected a number of at least 1, such as 2048 or 8k, got '{}'", option, text));
    }
    return value * factor;
}

Result<std::vector<i64>> numbers_of(const char* option, const std::vector<std::string>& texts) {
    std::vector<i64> numbers;
    for (const std::string& text : texts) {
        WW_ASSIGN(const i64 number, number_of(option, text));
        numbers.push_back(number);
    }
    return numbers;
}

// Of --format: names, and for all the model's own type and everything that quantize writes.
std::vector<std::string> formats_of(const std::vector<std::string>& names, DType dtype) {
    if (names.empty()) return {""};
    std::vector<std::string> formats;
    for (const std::string& name : names) {
        if (name != "all") {
            formats.push_back(name);
            continue;
        }
        formats.emplace_back(dtype_name(dtype));
        for (const CheckpointFormat& format : quantize_formats()) formats.emplace_back(format.name);
    }
    return formats;
}

// Of --kv-format: for all the model's own type and every code.
std::vector<std::string> kv_formats_of(const std::vector<std::string>& names) {
    if (names.empty()) return {""};
    std::vector<std::string> formats;
    for (const std::string& name : names) {
        if (name != "all") {
            formats.push_back(name);
            continue;
        }
        for (int i = 0; i < kNumKvFormats; ++i)
            formats.emplace_back(kv_format_name(static_cast<KvFormat>(i)));
    }
    return formats;
}

// Every format of weights with every format of the cache, every context and every batch.
Result<std::vector<PlanOptions>> plan_options(const Options& options, DType dtype) {
    WW_ASSIGN(std::vector<i64> contexts, numbers_of("context", options.contexts));
    WW_ASSIGN(const std::vector<i64> batches, numbers_of("batch", options.batches));
    PlanOptions plan{.num_gpus = options.num_gpus, .link = options.link};
    plan.batch_invariant = options.batch_invariant;
    plan.activations = options.activations;
    if (!options.prompt.empty()) {
        WW_ASSIGN(plan.prompt_tokens, number_of("prompt", options.prompt));
    }
    if (contexts.empty()) contexts.push_back(plan.context_tokens);
    std::vector<PlanOptions> all;
    for (const std::string& format : formats_of(options.formats, dtype)) {
        for (const std::string& kv_format : kv_formats_of(options.kv_formats)) {
            for (const i64 context : contexts) {
                for (const i64 batch : batches) {
                    plan.format = format;
                    plan.kv_format = kv_format;
                    plan.context_tokens = context;
                    plan.batch = batch;
                    all.push_back(plan);
                }
            }
        }
    }
    return all;
}

std::string model_columns() {
    const std::vector<std::string> names = public_model_names();
    std::size_t width = 0;
    for (const std::string& name : names) width = std::max(width, name.size() + 2);
    const std::size_t columns = std::max<std::size_t>(1, 98 / width),
                      rows = (names.size() + columns - 1) / columns;
    std::string text;
    for (std::size_t row = 0; row < rows; ++row) {
        std::string line = "  ";
        for (std::size_t i = row; i < names.size(); i += rows) line += fmt::format("{:<{}}", names[i], width);
        text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
    }
    return text;
}

int unknown_model(const std::string& name) {
    fmt::print(
        stderr,
        "error: no model '{:.200}': expected a folder, a config.json or a built-in name; nearest: {}\n{}",
        name, nearest(name, public_model_names()), model_columns());
    return kBadInput;
}

int write_html(const std::string& path, std::span<const PlanPoint> points) {
    std::ofstream file(path);
    file << to_html(points);
    file.close();
    return file.good() ? 0 : report(caller_error("--html: cannot write " + path));
}

// The Explanations of the layers whose name has `part` in it.
int print_explanations(const Plan& plan, const std::string& part) {
    bool found = false;
    for (const PlannedLayer& layer : plan.layers) {
        if (layer.name.find(part) == std::string::npos) continue;
        found = true;
        fmt::print("\n{}\nprefill: {}decode: {}", layer.name, to_text(layer.prefill), to_text(layer.decode));
    }
    if (found) return 0;
    std::vector<std::string> names;
    for (const PlannedLayer& layer : plan.layers) names.push_back(layer.name);
    return report(caller_error(
        fmt::format("--why: no layer's name has '{}' in it; nearest: {}", part, nearest(part, names))));
}

int run(const Options& options) {
    if (options.list) {
        fmt::print("{}", model_columns());
        return 0;
    }
    if (options.model.empty())
        return report(
            caller_error("--model: expected a folder, a config.json or a name; --list has the names"));
    WW_CLI_ASSIGN(const std::vector<Target> targets, targets_of(options.gpus));
    std::error_code error;
    const auto config = load_config(options.model);
    if (!config.ok()) {
        const bool exists = std::filesystem::exists(options.model, error);
        return exists ? report(config.status()) : unknown_model(options.model);
    }
    WW_CLI_ASSIGN(const std::vector<PlanOptions> asked, plan_options(options, config->dtype));
    note_ignored_fields(*config);
    const std::vector<PlanPoint> points = plan_points(*config, targets, asked);
    const auto planned =
        std::find_if(points.begin(), points.end(), [](const PlanPoint& p) { return p.plan; });
    if (planned == points.end()) return report(caller_error(points.front().refused));
    const bool explains = options.verbose || !options.why.empty();
    if (explains && points.size() > 1)
        return report(
            caller_error("--why and --verbose: expected one GPU, format, cache, context and batch"));

    if (!options.html.empty()) {
        if (const int code = write_html(options.html, points); code != 0) return code;
    }
    if (options.json) {
        fmt::print("{}\n", points.size() == 1 ? to_json(*planned->plan) : to_json(points));
    } else {
        fmt::print("{}", points.size() == 1 ? to_text(*planned->plan) : to_text(points));
        if (explains) {
            const int code = print_explanations(*planned->plan, options.why);
            if (code != 0) return code;
        }
    }
    return std::any_of(points.begin(), points.end(), [](const PlanPoint& p) { return p.runs(); }) ? 0
                                                                                                  : kNegative;
}

}  // namespace

void add_plan(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("plan", "will a model run on a GPU, on which kernels, and how fast");
    verb->add_option("--model", options->model, "a model's folder, a config.json, or a built-in name");
    verb->add_flag("--list", options->list, "the built-in names");
    verb->add_option("--gpu", options->gpus, "ids or aliases of targets, or all; auto: this machine's")
        ->delimiter(',')
        ->capture_default_str();
    verb->add_option("--format", options->formats,
                     "what if weights were in it: int4, fp8, ... of quantize, or bf16; several, or all")
        ->delimiter(',');
    verb->add_option(
            "--kv-format", options->kv_formats,
            "of keys and values in the cache: fp8_e4m3, fp8_e5m2, bf16 (the model's type, same), auto (as "
            "the config declares); several, or all")
        ->delimiter(',');
    verb->add_option("--activations", options->activations,
                     "what quantised weights are multiplied by: 16bit, declared, or auto, as in run")
        ->capture_default_str();
    verb->add_option("--gpus", options->num_gpus, "split every layer over this many")->capture_default_str();
    verb->add_option("--link", options->link,
                     "between them: nvlink, pcie (default: the fastest the GPU has)");
    verb->add_option("--batch", options->batches, "sequences decoded together: 8, or 1,8,64")
        ->delimiter(',')
        ->capture_default_str();
    verb->add_option("--context", options->contexts,
                     "tokens of each in the cache: 8k, or 1k,8k,32k (default: 2048)")
        ->delimiter(',');
    verb->add_option("--prompt", options->prompt, "tokens of a prompt (default: half the context)");
    verb->add_flag("--batch-invariant", options->batch_invariant, "the rows of run --batch-invariant");
    verb->add_option("--why", options->why, "the whole Explanation of the layers with this in their name");
    verb->add_flag("--verbose", options->verbose, "every layer's Explanation");
    verb->add_option("--html", options->html, "also write a page with tables and pictures to this file");
    verb->add_flag("--json", options->json, "for machines; several plans: {\"plans\": [...]}");
    verb->footer(
        "Several GPUs, formats, contexts or batches give a table. Speeds are modelled, not measured.\n"
        "Exit code 1: it does not fit, or a layer has no kernel; of several plans: none runs.");
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
