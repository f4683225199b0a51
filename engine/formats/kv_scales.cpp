// SPDX-License-Identifier: Apache-2.0
#include "engine/formats/kv_scales.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>

#include "engine/formats/layer_format.h"
#include "formats/half.h"

namespace warpwright {
namespace {

// Behind a layer's "self_attn.". All are what codes are multiplied by.
struct ScaleNames {
    std::string_view k, v;
    bool declares;  // there is nothing else that the tensor could be for
};
constexpr ScaleNames kScaleNames[] = {
    {"k_scale", "v_scale", true},                          // compressed-tensors
    {"k_proj.k_scale", "v_proj.v_scale", true},            // ModelOpt
    {"qkv_proj.k_scale", "qkv_proj.v_scale", true},        // the same of stacked weights
    {"kv_scale", "kv_scale", true},                        // older: one for both
    {"k_proj.output_scale", "v_proj.output_scale", false}  // AutoFP8, older compressed-tensors
};
constexpr std::string_view kBlock = ".self_attn.";

std::string tensor_name(const std::string& body, int layer, std::string_view suffix) {
    return fmt::format("{}layers.{}{}{}", body, layer, kBlock, suffix);
}

// Element i of a floating-point tensor, which need not be aligned.
float float_at(const StoredTensor& stored, std::size_t i) {
    u32 bits = 0;
    const auto size = static_cast<std::size_t>(dtype_bytes(stored.dtype));
    std::memcpy(&bits, stored.bytes.data() + i * size, size);
    if (stored.dtype == DType::f32) return std::bit_cast<float>(bits);
    return stored.dtype == DType::bf16 ? std::bit_cast<float>(bits << 16)
                                       : formats::decode_f16(static_cast<u16>(bits));
}

Result<std::vector<float>> read_scales(const ModelConfig& config, const Safetensors& checkpoint,
                                       const std::string& name) {
    WW_ASSIGN(const StoredTensor stored, checkpoint.find(name));
    const i64 count = std::accumulate(stored.shape.begin(), stored.shape.end(), i64{1}, std::multiplies<>());
    // [kv_heads, 1, 1] and the like: whichever dimension is the heads'.
    const bool one_dimension =
        std::ranges::count_if(stored.shape, [](i64 extent) { return extent != 1; }) <= 1;
    const i64 heads = config.is_latent() ? 1 : config.num_kv_heads;
    const bool is_float =
        stored.dtype == DType::f32 || stored.dtype == DType::f16 || stored.dtype == DType::bf16;
    if (!is_float || !one_dimension || (count != 1 && count != heads)) {
        const std::string expected =
            config.is_latent() ? "one scale" : fmt::format("one scale or {}, one for each kv head", heads);
        return caller_error(fmt::format("{}: tensor {}: expected {}, as f32, f16 or bf16, got {} {}",
                                        stored.file, name, expected, dtype_name(stored.dtype), stored.shape));
    }
    std::vector<float> scales;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        scales.push_back(float_at(stored, i));
        if (scales[i] > 0 && std::isfinite(scales[i])) continue;
        return caller_error(fmt::format("{}: tensor {}: scale {}: expected positive and finite, got {}",
                                        stored.file, name, i, scales[i]));
    }
    return scales;
}

// The names under which a layer has scales; null: it has none. A latent row's is its keys'.
Result<const ScaleNames*> names_of(const ModelConfig& config, const Safetensors& checkpoint,
                                   const std::string& body, int layer) {
    for (const ScaleNames& names : kScaleNames) {
        const std::string k = tensor_name(body, layer, names.k), v = tensor_name(body, layer, names.v);
        const bool has_k = checkpoint.contains(k), has_v = checkpoint.contains(v);
        if (has_k && (has_v || config.is_latent())) return &names;
        if (has_k || has_v) {
            return caller_error(fmt::format("{}: tensor {}: expected {} beside it, which is not there",
                                            checkpoint.path(), has_k ? k : v, has_k ? v : k));
        }
    }
    return static_cast<const ScaleNames*>(nullptr);
}

bool has_declaring_scales(const ModelConfig& config, const Safetensors& checkpoint, const std::string& body) {
    for (int layer = 0; layer < config.num_layers; ++layer) {
        for (const ScaleNames& names : kScaleNames) {
            if (names.declares && (checkpoint.contains(tensor_name(body, layer, names.k)) ||
                                   checkpoint.contains(tensor_name(body, layer, names.v))))
                return true;
        }
    }
    return false;
}

}  // namespace

KvFormat declared_kv_format(const ModelConfig& config) {
    if (config.kv_format) return *config.kv_format;
    if (config.is_latent()) return KvFormat::same;
    return config.quantization ? config.quantization->kv().format : KvFormat::same;
}

std::string declared_kv_note(const ModelConfig& config) {
    if (config.kv_format || !config.quantization || config.quantization->kv().unsupported.empty()) return {};
    return fmt::format("keys and values are kept in {}: there is no cache for {}", dtype_name(config.dtype),
                       config.quantization->kv().unsupported);
}

bool is_kv_scale(std::string_view tensor) {
    return std::ranges::any_of(kScaleNames, [&](const ScaleNames& names) {
        const auto ends_with = [&](std::string_view suffix) {
            return tensor.ends_with(suffix) &&
                   tensor.substr(0, tensor.size() - suffix.size()).ends_with(kBlock);
        };
        return ends_with(names.k) || ends_with(names.v);
    });
}

Result<StoredKv> find_kv(const ModelConfig& config, const Safetensors& checkpoint, const std::string& body) {
    StoredKv kv{.format = declared_kv_format(config), .note = declared_kv_note(config)};
    const bool is_declared = config.kv_format.has_value() || !kv.note.empty();
    if (!is_declared && !config.is_latent() && kv.format == KvFormat::same &&
        has_declaring_scales(config, checkpoint, body))
        kv.format = KvFormat::fp8_e4m3;
    if (kv.format == KvFormat::same) return kv;
    int num_without = 0;
    for (int layer = 0; layer < config.num_layers; ++layer) {
        WW_ASSIGN(const ScaleNames* names, names_of(config, checkpoint, body, layer));
        LayerKvScales& scales = kv.layers.emplace_back();
        num_without += names == nullptr;
        if (names == nullptr) continue;
        WW_ASSIGN(scales.k, read_scales(config, checkpoint, tensor_name(body, layer, names->k)));
        if (config.is_latent()) continue;
        WW_ASSIGN(scales.v, read_scales(config, checkpoint, tensor_name(body, layer, names->v)));
    }
    if (num_without > 0) {
        kv.note = fmt::format("{} of {} layers have no scales of keys and values: they are 1", num_without,
                              config.num_layers);
    }
    return kv;
}

}  // namespace warpwright
