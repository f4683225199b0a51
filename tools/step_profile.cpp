// SPDX-License-Identifier: Apache-2.0
// What each launch of a decode step costs where it stands: the time of captured graphs of the step's first
// launches, and the difference that one more makes.
//
//     step_profile --model FOLDER [--device D] [--prompt N] [--context N] [--batch N] [--layer L]
//
// Random weights. The launches of one layer are listed, then the step without what precedes and follows the
// layers, each with overlapping launches (as the engine runs them) and without.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <vector>

#include "engine/engine.h"

namespace warpwright {
namespace {

struct Options {
    std::string model, device = "auto";
    i64 prompt = 2048, context = 4096, batch = 1;
    int layer = 8;
};

class Profiler {
public:
    Profiler(Context& context, const Prepared& prepared) : device_(context.device()), prepared_(prepared) {}

    // Median over runs of a graph of the first `count` launches.
    Result<double> graph_us(std::size_t count, bool overlaps) {
        constexpr int kRuns = 9;
        WW_ASSIGN(const Stream stream, device_.create_stream());
        WW_TRY(device_.begin_capture(stream));
        const Status launched = launch(count, overlaps, stream);
        WW_ASSIGN(const Graph graph, device_.end_capture(stream));
        WW_TRY(launched);
        std::vector<double> times;
        for (int run = 0; run <= kRuns; ++run) {
            WW_ASSIGN(const double us, timed_us(stream, [&] { return device_.launch(graph, stream); }));
            if (run > 0) times.push_back(us);
        }
        device_.destroy(graph);
        device_.destroy(stream);
        std::sort(times.begin(), times.end());
        return times[times.size() / 2];
    }

private:
    Status launch(std::size_t count, bool overlaps, Stream stream) {
        for (std::size_t i = 0; i < count; ++i) {
            const Prepared::Step& step = prepared_.steps[i];
            LaunchConfig config = step.config;
            config.programmatic = config.programmatic && overlaps;
            WW_TRY(device_.launch(step.kernel, config, step.args, stream));
        }
        return {};
    }
    template <class Work>
    Result<double> timed_us(Stream stream, Work&& work) {
        WW_ASSIGN(const Event from, device_.create_event());
        WW_ASSIGN(const Event to, device_.create_event());
        WW_TRY(device_.record(from, stream));
        WW_TRY(work());
        WW_TRY(device_.record(to, stream));
        WW_ASSIGN(const double us, device_.elapsed_us(from, to));
        device_.destroy(from);
        device_.destroy(to);
        return us;
    }

    Device& device_;
    const Prepared& prepared_;
};

Status profile(const Options& options) {
    WW_ASSIGN(const ModelConfig config, load_config(options.model));
    WW_ASSIGN(const auto context, Context::open(options.device));
    WW_ASSIGN(Weights weights, random_weights(*context, config, 1));
    EngineOptions engine_options;
    engine_options.max_context_tokens = options.context;
    engine_options.max_sequences = options.batch;
    WW_ASSIGN(const auto engine, Engine::create(context, config, std::move(weights), engine_options));
    Request request;
    request.prompt.assign(static_cast<std::size_t>(options.prompt), 1);
    request.max_tokens = 4;
    request.num_sequences = static_cast<int>(options.batch);
    WW_TRY(engine->add(request).status());
    while (!engine->idle()) WW_TRY(engine->step().status());
    const Prepared* step = engine->last_decode();
    if (step == nullptr) return caller_error("no decode step was run");

    Profiler profiler(*context, *step);
    // Layers have the same launches; the first one begins behind the embedding.
    const std::size_t num_steps = step->steps.size(),
                      num_layers = static_cast<std::size_t>(config.num_layers);
    const std::size_t per_layer = (num_steps - 5) / num_layers;
    const std::size_t first = 1 + per_layer * static_cast<std::size_t>(options.layer);
    double before[2] = {}, total[2] = {};
    fmt::print("{:<44} {:>10} {:>10}\n", "launch of layer " + std::to_string(options.layer), "overlap us",
               "serial us");
    for (std::size_t count = first; count <= std::min(num_steps, first + per_layer); ++count) {
        double us[2];
        for (const int overlaps : {0, 1}) {
            WW_ASSIGN(us[overlaps], profiler.graph_us(count, overlaps != 0));
        }
        if (count > first) {
            fmt::print("{:<44} {:>10.2f} {:>10.2f}\n", step->steps[count - 1].row, us[1] - before[1],
                       us[0] - before[0]);
            for (const int i : {0, 1}) total[i] += us[i] - before[i];
        }
        std::copy_n(us, 2, before);
    }
    fmt::print("{:<44} {:>10.2f} {:>10.2f}\n", "layer", total[1], total[0]);
    for (const std::size_t count : {num_steps - 4, num_steps - 1, num_steps}) {
        WW_ASSIGN(const double overlap, profiler.graph_us(count, true));
        WW_ASSIGN(const double serial, profiler.graph_us(count, false));
        fmt::print("{:<44} {:>10.2f} {:>10.2f}\n", fmt::format("step up to {}", step->steps[count - 1].row),
                   overlap, serial);
    }
    return {};
}

}  // namespace
}  // namespace warpwright

int main(int argc, char** argv) {
    warpwright::Options options;
    CLI::App app{"what each launch of a decode step costs"};
    app.add_option("--model", options.model, "a model's folder")->required();
    app.add_option("--device", options.device, "auto, cuda:N")->capture_default_str();
    app.add_option("--prompt", options.prompt, "tokens of the prompt")->capture_default_str();
    app.add_option("--context", options.context, "tokens of a sequence at most")->capture_default_str();
    app.add_option("--batch", options.batch, "sequences")->capture_default_str();
    app.add_option("--layer", options.layer, "whose launches are listed")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    const warpwright::Status status = warpwright::profile(options);
    if (status.ok()) return 0;
    fmt::print(stderr, "step_profile: {}\n", status.message());
    return 1;
}
