// SPDX-License-Identifier: Apache-2.0
// warpwright plan: a model on a GPU that need not be here.
#include <fmt/format.h>

#include <memory>

#include "cli/verb.h"
#include "engine/config.h"
#include "warpwright/device.h"
#include "warpwright/plan.h"

namespace warpwright::cli {
namespace {

struct Options {
    std::string model, gpu = "auto";
    PlanOptions plan;
    bool json = false;
    bool why = false;
};

// "auto": what is in this machine.
Result<Target> target_of(const std::string& name) {
    if (name != "auto" && !name.starts_with("cuda")) return find_target(name);
    WW_ASSIGN(const auto device, open_device(name));
    return device->target();
}

int run(const Options& options) {
    WW_CLI_ASSIGN(const Target target, target_of(options.gpu));
    WW_CLI_ASSIGN(const ModelConfig config, load_config(options.model));
    WW_CLI_ASSIGN(const Plan plan, plan_model(config, target, options.plan));
    fmt::print("{}\n", options.json ? to_json(plan) : to_text(plan));
    if (options.why && !options.json) {
        for (const PlannedLayer& layer : plan.layers) {
            fmt::print("{}\n  prefill: {}  decode:  {}\n", layer.name, to_text(layer.prefill),
                       to_text(layer.decode));
        }
    }
    return plan.runs() ? 0 : kNegative;
}

}  // namespace

void add_plan(CLI::App& app, Action& action) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("plan", "will a model run on a GPU, on which kernels, and how fast");
    std::string names;
    for (const std::string& name : public_model_names()) names += " " + name;
    verb->add_option("--model", options->model, "a model's folder, a config.json, or one of:" + names)
        ->required();
    verb->add_option("--gpu", options->gpu, "id or alias of a target; auto: this machine's")
        ->capture_default_str();
    verb->add_option("--gpus", options->plan.num_gpus, "split every layer over this many")
        ->capture_default_str();
    verb->add_option("--link", options->plan.link,
                     "between them: nvlink, pcie (default: the fastest the GPU has)");
    verb->add_option("--batch", options->plan.batch, "sequences decoded together")->capture_default_str();
    verb->add_option("--context", options->plan.context_tokens,
                     "tokens of each in the cache (default: 2048)");
    verb->add_option("--prompt", options->plan.prompt_tokens,
                     "tokens of a prompt (default: half the context)");
    verb->add_flag("--why", options->why, "every layer's Explanation in full");
    verb->add_flag("--json", options->json, "for machines");
    verb->footer(
        "Speeds are modelled, not measured. Exit code 1: it does not fit, or a layer has no kernel.");
    verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

}  // namespace warpwright::cli
