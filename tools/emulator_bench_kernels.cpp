// SPDX-License-Identifier: Apache-2.0
#include "tools/emulator_bench_kernels.h"

#include <algorithm>
#include <chrono>
#include <random>

#include <fmt/format.h>

#include "emulator/device/emulated.h"
#include "engine/config.h"
#include "engine/engine.h"
#include "engine/weights.h"
#include "warpwright/context.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/rmsnorm.h"

namespace warpwright::emulator {
namespace {

constexpr int kRepeats = 5;
constexpr const char* kGpu = "h200";
constexpr const char* kLevels[] = {"off", "bounds", "all"};

struct Figures {
    double s = 1e30;  // best of the runs
    u64 warp_instructions = 0;
};

class Bench {
public:
    explicit Bench(std::shared_ptr<Context> context) : context_(std::move(context)) {}

    Context& context() { return *context_; }
    EmulatedDevice& device() { return static_cast<EmulatedDevice&>(context_->device()); }

    // Random bf16 in a tensor that lives as long as the bench.
    Result<Tensor> tensor(std::initializer_list<i64> shape) {
        Tensor tensor = Tensor::dense(nullptr, DType::bf16, shape);
        std::vector<u16> values(static_cast<std::size_t>(tensor.num_elements()));
        std::normal_distribution<float> normal;
        for (u16& value : values) value = static_cast<u16>(std::bit_cast<u32>(normal(random_)) >> 16);
        WW_ASSIGN(Buffer buffer, Buffer::allocate(context_->shared_device(), values.size() * sizeof(u16)));
        WW_TRY(device().copy_in(buffer.data(), values.data(), values.size() * sizeof(u16), {}));
        tensor.data = buffer.data();
        buffers_.push_back(std::move(buffer));
        return tensor;
    }

    Result<Figures> time(const Prepared& prepared) {
        Figures figures;
        for (int i = 0; i < kRepeats; ++i) {
            const u64 before = device().warp_instructions();
            const auto start = std::chrono::steady_clock::now();
            WW_TRY(prepared.launch(device(), {}));
            const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
            figures.s = std::min(figures.s, passed.count());
            figures.warp_instructions = device().warp_instructions() - before;
        }
        return figures;
    }

private:
    std::shared_ptr<Context> context_;
    std::mt19937 random_{1};
    std::vector<Buffer> buffers_;
};

Result<Bench> open(const char* level) {
    WW_ASSIGN(auto context, Context::open(fmt::format("emulated:{},checks={},threads=1", kGpu, level)));
    return Bench(std::move(context));
}

Result<std::string> rmsnorm_line(Bench& bench) {
    RmsNorm call;
    WW_ASSIGN(call.x, bench.tensor({512, 4096}));
    WW_ASSIGN(call.weight, bench.tensor({4096}));
    WW_ASSIGN(call.out, bench.tensor({512, 4096}));
    Prepared prepared;
    WW_TRY(prepare(bench.context(), call, prepared));
    WW_ASSIGN(const Figures figures, bench.time(prepared));
    return fmt::format("{:.1f} M/s", static_cast<double>(figures.warp_instructions) / figures.s / 1e6);
}

Result<std::string> gemm_line(Bench& bench) {
    Gemm call;
    WW_ASSIGN(call.a, bench.tensor({512, 512}));
    WW_ASSIGN(call.b, bench.tensor({512, 512}));
    WW_ASSIGN(call.d, bench.tensor({512, 512}));
    Prepared prepared;
    WW_TRY(prepare(bench.context(), call, prepared));
    WW_ASSIGN(const Figures figures, bench.time(prepared));
    return fmt::format("{:.3f} s", figures.s);
}

Result<std::string> decode_line(Bench& bench, const std::string& model) {
    WW_ASSIGN(const ModelConfig config, load_config(model));
    WW_ASSIGN(Weights weights, load_weights(bench.context(), config, model));
    WW_ASSIGN(auto engine, Engine::create(std::make_shared<Context>(bench.context().shared_device()), config,
                                          std::move(weights), {.max_sequences = 1}));
    WW_TRY(engine->add({.prompt = {1, 2, 3, 4}, .max_tokens = 8, .sampling = {}, .stop_at_eos = false})
               .status());
    while (!engine->idle()) WW_TRY(engine->step().status());
    const EngineStats times = engine->stats();
    return fmt::format("{:.1f} /s", static_cast<double>(times.decode_tokens) / times.decode_s);
}

template <class Line>
Status print_line(const char* name, const Line& line) {
    std::string text = fmt::format("{:28}", name);
    for (const char* level : kLevels) {
        WW_ASSIGN(Bench bench, open(level));
        WW_ASSIGN(const std::string figure, line(bench));
        text += fmt::format(" {:>10}", figure);
    }
    fmt::print("{}\n", text);
    return {};
}

}  // namespace

Status print_kernels(const std::string& model) {
    fmt::print("\n{:28} {:>10} {:>10} {:>10}   our kernels on emulated:{}\n", "", kLevels[0], kLevels[1],
               kLevels[2], kGpu);
    WW_TRY(print_line("RMSNorm, warp instructions", rmsnorm_line));
    WW_TRY(print_line("gemm 512x512x512 bf16", gemm_line));
    if (model.empty()) return {};
    return print_line("shipped model, tokens", [&](Bench& bench) { return decode_line(bench, model); });
}

}  // namespace warpwright::emulator
