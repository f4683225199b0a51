// SPDX-License-Identifier: Apache-2.0
// warpwright quantize: a checkpoint with quantised weights.
#include "engine/quantize.h"

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/progress.h"
#include "cli/verb.h"
#include "engine/plan_format.h"

namespace warpwright::cli {
namespace {

constexpr int kInterrupted = 130;
volatile std::sig_atomic_t interrupted = 0;

struct Options {
    std::string model, format, out;
    i64 group = 0;
    bool gptq = false;
    GptqOptions of_gptq;
    int threads = 0;
    bool json = false;
};

int run(const Options& options) {
    QuantizeOptions settings{.num_threads = options.threads};
    WW_CLI_ASSIGN(settings.format, find_quantize_format(options.format, options.group));
    if (options.gptq) settings.gptq = options.of_gptq;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);  // a second Ctrl-C ends the program at once
    sigaction(SIGINT, &action, nullptr);

    const auto start = std::chrono::steady_clock::now();
    Progress progress("quantize");
    const auto show = [&](i64 done, i64 total) {
        progress.update(done, total);
        return interrupted == 0;
    };
    const auto result = quantize_checkpoint(options.model, options.out, settings, show);
    progress.finish();
    if (!result.ok()) {
        const int code = report(result.status());
        return interrupted != 0 ? kInterrupted : code;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (options.json) {
        const nlohmann::json answer = {
            {"format", settings.format.name},
            {"read_bytes", result->read_bytes},
            {"written_bytes", result->written_bytes},
            {"resumed_bytes", result->resumed_bytes},
            {"tensors", {{"quantized", result->num_quantized}, {"kept", result->num_kept}}},
            {"calibration_tokens", result->calibration_tokens},
            {"seconds", seconds}};
        fmt::print("{}\n", answer.dump());
        return 0;
    }
    fmt::print("{}: {} layers as {} ({}), {} tensors as they were\n", options.out, result->num_quantized,
               settings.format.name, settings.format.text, result->num_kept);
    if (options.gptq) fmt::print("GPTQ: a text of {} tokens was read\n", result->calibration_tokens);
    fmt::print("{} -> {}, {:.1f} s", bytes_text(result->read_bytes), bytes_text(result->written_bytes),
               seconds);
    if (result->resumed_bytes > 0) {
        fmt::print(", {} of it by a run before", bytes_text(result->resumed_bytes));
    } else {
        fmt::print(", {:.0f} MB/s", static_cast<double>(result->read_bytes) / seconds * 1e-6);
    }
    fmt::print("\n");
    return 0;
}

}  // namespace

void add_quantize(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("quantize", "a checkpoint with quantised weights");
    std::string footer = "Formats, in compressed-tensors' conventions:\n";
    for (const CheckpointFormat& format : quantize_formats()) {
        footer += fmt::format("  {:11} {}\n", format.name, format.text);
    }
    verb->footer(footer + "A run that was stopped goes on where it was when it is given again.");
    verb->add_option("--model", options->model, "folder with config.json and weights, quantised ones too")
        ->required();
    verb->add_option("--format", options->format, "see below")->required();
    verb->add_option("--out", options->out, "folder to make; must not exist")->required();
    verb->add_option("--group", options->group, "weights to a scale, for int4 (128)");
    auto* gptq = verb->add_flag("--gptq", options->gptq,
                                "for int4: rounding errors of a weight are made good by others");
    GptqOptions& of_gptq = options->of_gptq;
    verb->add_option("--calibration", of_gptq.calibration,
                     "text that the model reads for it (definitions of English words)")
        ->needs(gptq);
    verb->add_option("--calibration-tokens", of_gptq.num_tokens, "of that text (32768)")->needs(gptq);
    verb->add_flag("--act-order", of_gptq.act_order, "columns with the largest inputs are rounded first")
        ->needs(gptq);
    verb->add_option("--threads", options->threads, "0: one per core");
    verb->add_flag("--json", options->json, "for machines");
    verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace warpwright::cli
