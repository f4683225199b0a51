// SPDX-License-Identifier: Apache-2.0
// The small models of goldens.json: a checkpoint of each, with the weights that make_goldens.py gave
// transformers.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/safetensors.h"
#include "engine/scratch.h"
#include "kernels/host_math.h"

namespace warpwright::test {

inline std::string models_folder() {
    return std::string(WW_SOURCE_DIR) + "/tests/models";
}

// What make_goldens.py's `uniform` gives.
inline std::vector<int> small_uniform(const std::string& name, const std::vector<i64>& shape) {
    u64 hash = 0xcbf29ce484222325u;
    for (const char c : name) hash = (hash ^ static_cast<u8>(c)) * 0x100000001b3u;
    i64 count = 1;
    for (const i64 extent : shape) count *= extent;
    std::vector<int> values;
    for (i64 i = 1; i <= count; ++i) {
        u64 z = hash + static_cast<u64>(i) * 0x9e3779b97f4a7c15u;  // splitmix64
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        values.push_back(static_cast<int>(z >> 56) - 128);
    }
    return values;
}

// Its `values`, as bf16.
inline std::vector<u16> small_weights(const std::string& name, const std::vector<i64>& shape,
                                      int norm_neutral) {
    const std::vector<int> bytes = small_uniform(name, shape);
    const auto count = static_cast<i64>(bytes.size());
    const bool is_vector = shape.size() == 1;
    const bool is_norm = is_vector && name.ends_with("norm.weight");
    // Of experts in one tensor, [experts, inputs, outputs], the inputs.
    const double columns = static_cast<double>(shape.size() == 3 ? shape[1] : count / shape[0]);
    const double scale = is_vector ? 1.0 / 512 : std::exp2(-6 - std::ceil(std::log2(columns) / 2));
    std::vector<u16> values;
    for (const int byte : bytes) {
        const double value = is_norm ? norm_neutral + (byte >> 4) / 32.0 : byte * scale;
        values.push_back(float_to_bf16(static_cast<float>(value)));
    }
    return values;
}

// Its `mxfp4_values`.
inline std::vector<u8> small_mxfp4(const std::string& name, const std::vector<i64>& shape) {
    std::vector<u8> values;
    const bool are_scales = name.ends_with("_scales");
    const double groups = static_cast<double>(shape[2]);
    const int least = are_scales ? 127 - 3 - static_cast<int>(std::ceil(std::log2(32 * groups) / 2)) : 0;
    for (const int byte : small_uniform(name, shape))
        values.push_back(static_cast<u8>(are_scales ? least + ((byte + 128) & 1) : byte + 128));
    return values;
}

class SmallModel {
public:
    explicit SmallModel(nlohmann::json golden) : golden_(std::move(golden)) {
        folder_.write("config.json", golden_["config"].dump());
        write_shards();
    }

    const nlohmann::json& golden() const { return golden_; }
    std::string name() const { return golden_["name"]; }
    std::string folder() const { return folder_.folder().string(); }

private:
    // Two files and their index, as save_pretrained writes large models.
    void write_shards() {
        std::vector<std::vector<u16>> values;
        std::vector<std::vector<u8>> codes;
        std::vector<StoredTensor> tensors[2];
        nlohmann::json weight_map;
        const std::string files[2] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
        for (const auto& [name, shape_json] : golden_["tensors"].items()) {
            const std::vector<i64> shape = shape_json;
            const std::size_t shard = (values.size() + codes.size() + 1) % 2;
            if (name.ends_with("_blocks") || name.ends_with("_scales")) {
                codes.push_back(small_mxfp4(name, shape));
                tensors[shard].push_back({name, DType::u8, shape, std::as_bytes(std::span(codes.back()))});
            } else {
                values.push_back(small_weights(name, shape, golden_["norm_neutral"]));
                tensors[shard].push_back({name, DType::bf16, shape, std::as_bytes(std::span(values.back()))});
            }
            weight_map[name] = files[shard];
        }
        for (int i = 0; i < 2; ++i)
            EXPECT_TRUE(write_safetensors(folder_.folder() / files[i], tensors[i]).ok());
        folder_.write("model.safetensors.index.json", nlohmann::json{{"weight_map", weight_map}}.dump());
    }

    nlohmann::json golden_;
    Scratch folder_;
};

// By name, made when they are first asked for.
inline const SmallModel& small_model(const std::string& name) {
    static std::map<std::string, std::unique_ptr<SmallModel>> models;
    static const nlohmann::json goldens = [] {
        std::ifstream file(models_folder() + "/goldens.json");
        return nlohmann::json::parse(file);
    }();
    auto& model = models[name];
    for (const nlohmann::json& golden : goldens) {
        if (model == nullptr && golden["name"] == name) model = std::make_unique<SmallModel>(golden);
    }
    return *model;
}

inline std::vector<std::string> small_model_names() {
    std::ifstream file(models_folder() + "/goldens.json");
    std::vector<std::string> names;
    for (const nlohmann::json& golden : nlohmann::json::parse(file)) names.push_back(golden["name"]);
    return names;
}

}  // namespace warpwright::test
