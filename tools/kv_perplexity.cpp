// SPDX-License-Identifier: Apache-2.0
// Held-out perplexity of the shipped model with keys and values in every format of --kv-format, by our
// engine.
//
//   kv_perplexity [MODEL [DEVICE]] > docs/results/DATE_cpu_kv-formats.json
//
// Counted as in models/glossary/evaluation.json, by next_tokens.h. Scales are the largest magnitudes that
// calibration.txt leaves in a cache of 16 bits, over the format's largest number.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <ctime>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/formats/kv_scales.h"
#include "kernels/host_math.h"
#include "kernels/kv_format.h"
#include "tools/next_tokens.h"

namespace warpwright {
namespace {

using Json = nlohmann::ordered_json;

constexpr i64 kCalibrationLines = 400;
constexpr i64 kCacheTokens = 1 << 14;

enum class ScaleOf : u8 { none, layer, head };
struct Row {
    const char* name;
    KvFormat format;
    ScaleOf scale;
};
constexpr Row kRows[] = {
    {"bf16", KvFormat::same, ScaleOf::none},
    {"fp8_e4m3", KvFormat::fp8_e4m3, ScaleOf::none},
    {"fp8_e4m3, a scale per layer", KvFormat::fp8_e4m3, ScaleOf::layer},
    {"fp8_e4m3, a scale per head", KvFormat::fp8_e4m3, ScaleOf::head},
    {"fp8_e5m2", KvFormat::fp8_e5m2, ScaleOf::none},
    {"fp8_e5m2, a scale per head", KvFormat::fp8_e5m2, ScaleOf::head},
};

i64 num_tokens(const Texts& texts) {
    i64 count = 0;
    for (const auto& text : texts) count += std::ssize(text);
    return count;
}

// Scales by layer; none: those of the checkpoint, which has none.
Result<std::unique_ptr<Engine>> engine_with(const std::shared_ptr<Context>& context, const std::string& model,
                                            KvFormat format, const std::vector<LayerKvScales>& scales,
                                            i64 cache_tokens) {
    WW_ASSIGN(ModelConfig config, load_config(model));
    config.kv_format = format;
    WW_ASSIGN(Weights weights, load_weights(*context, config, model));
    const auto upload = [&](const std::vector<float>& values, Tensor& tensor) -> Status {
        const std::size_t bytes = values.size() * sizeof(float);
        WW_ASSIGN(Buffer buffer, Buffer::allocate(context->shared_device(), bytes));
        WW_TRY(context->device().copy_in(buffer.data(), values.data(), bytes, {}));
        WW_TRY(context->device().synchronize({}));
        tensor = Tensor::dense(buffer.data(), DType::f32, {static_cast<i64>(values.size())});
        weights.storage.push_back(std::move(buffer));
        return {};
    };
    for (std::size_t layer = 0; layer < scales.size(); ++layer) {
        WW_TRY(upload(scales[layer].k, weights.layers[layer].k_scale));
        WW_TRY(upload(scales[layer].v, weights.layers[layer].v_scale));
    }
    return Engine::create(context, config, std::move(weights), prediction_options(config, cache_tokens));
}

// The largest magnitude of each kv head's keys and values in the cache; whatever was never written is zero.
Result<std::vector<LayerKvScales>> magnitudes(Context& context, const Engine& engine, int num_layers) {
    std::vector<LayerKvScales> all;
    const auto of_pages = [&](const Tensor& pages) -> Result<std::vector<float>> {
        const i64 heads = pages.shape[2], head_dim = pages.shape[3];
        std::vector<u16> numbers(
            static_cast<std::size_t>(pages.shape[0] * pages.shape[1] * heads * head_dim));
        WW_TRY(context.device().copy_out(numbers.data(), pages.data, numbers.size() * sizeof(u16), {}));
        std::vector<float> largest(static_cast<std::size_t>(heads));
        for (std::size_t i = 0; i < numbers.size(); ++i) {
            float& head = largest[i / static_cast<std::size_t>(head_dim) % largest.size()];
            head = std::max(head, std::abs(load_float(numbers.data(), pages.dtype, static_cast<i64>(i))));
        }
        return largest;
    };
    for (int layer = 0; layer < num_layers; ++layer) {
        LayerKvScales& found = all.emplace_back();
        WW_ASSIGN(found.k, of_pages(engine.pages().k_pages(layer)));
        WW_ASSIGN(found.v, of_pages(engine.pages().v_pages(layer)));
    }
    return all;
}

Result<std::vector<LayerKvScales>> calibrate(const std::shared_ptr<Context>& context,
                                             const std::string& model) {
    WW_ASSIGN(const ModelConfig config, load_config(model));
    WW_ASSIGN(const Texts texts, read_texts(config, model, model + "/calibration.txt", kCalibrationLines));
    // Room for all of them, so that nothing is overwritten.
    WW_ASSIGN(const auto engine, engine_with(context, model, KvFormat::same, {}, num_tokens(texts) + 1024));
    for (int layer = 0; layer < config.num_layers; ++layer) {
        for (const Tensor& pages : {engine->pages().k_pages(layer), engine->pages().v_pages(layer)}) {
            const i64 count = pages.shape[0] * pages.shape[1] * pages.shape[2] * pages.shape[3];
            WW_TRY(context->device().fill(pages.data, 0,
                                          static_cast<std::size_t>(count * dtype_bytes(pages.dtype)), {}));
        }
    }
    WW_TRY(predict(*engine, texts, [](std::span<const float>, i32) {}));
    return magnitudes(*context, *engine, config.num_layers);
}

std::vector<LayerKvScales> scales_of(const std::vector<LayerKvScales>& largest, const Row& row) {
    if (row.scale == ScaleOf::none) return {};
    std::vector<LayerKvScales> scales = largest;
    for (LayerKvScales& layer : scales) {
        for (std::vector<float>* values : {&layer.k, &layer.v}) {
            if (row.scale == ScaleOf::layer) *values = {*std::max_element(values->begin(), values->end())};
            for (float& value : *values) value /= small_float_of(row.format).max;
        }
    }
    return scales;
}

Status run(const std::string& model, const std::string& device) {
    WW_ASSIGN(const std::shared_ptr<Context> context, Context::open(device));
    WW_ASSIGN(const ModelConfig config, load_config(model));
    WW_ASSIGN(const Texts texts,
              read_texts(config, model, model + "/heldout.txt", std::numeric_limits<i64>::max()));
    WW_ASSIGN(const std::vector<LayerKvScales> largest, calibrate(context, model));
    char date[16] = {};
    const std::time_t now = std::time(nullptr);
    std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
    Json json{{"model", model},
              {"date", date},
              {"device", context->device().id()},
              {"command", fmt::format("build/kv_perplexity {}", model)}};
    for (const Row& row : kRows) {
        WW_ASSIGN(const auto engine,
                  engine_with(context, model, row.format, scales_of(largest, row), kCacheTokens));
        Loss loss;
        WW_TRY(predict(*engine, texts,
                       [&](std::span<const float> logits, i32 next) { loss.add(logits, next); }));
        json["tokens"] = loss.count();
        json["rows"].push_back({{"format", row.name}, {"perplexity", loss.perplexity()}});
        std::cerr << json["rows"].back().dump() << '\n';
    }
    std::cout << json.dump(1) << '\n';
    return {};
}

}  // namespace
}  // namespace warpwright

int main(int argc, char** argv) {
    const warpwright::Status status =
        warpwright::run(argc > 1 ? argv[1] : "models/glossary", argc > 2 ? argv[2] : "cpu");
    if (status.ok()) return 0;
    std::cerr << "error: " << status.message() << '\n';
    return 1;
}
