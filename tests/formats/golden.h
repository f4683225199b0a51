// SPDX-License-Identifier: Apache-2.0
// The goldens that make_goldens.py wrote: a layer in each format, and the weights that its own package makes
// of it.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/formats/open_weight.h"
#include "kernels/host_math.h"

namespace warpwright::test {

inline std::string goldens_folder() {
    return std::string(WW_SOURCE_DIR) + "/tests/formats/goldens";
}

inline const nlohmann::json& goldens() {
    static const nlohmann::json all = [] {
        std::ifstream file(std::string(WW_SOURCE_DIR) + "/tests/formats/goldens.json");
        return nlohmann::json::parse(file);
    }();
    return all;
}

struct Golden {
    std::string name;
    nlohmann::json config;
    std::vector<i64> shape;
    Safetensors file;

    static Golden open(const std::string& name) {
        const nlohmann::json& entry = goldens().at(name);
        auto file = Safetensors::open(goldens_folder() + "/" + name + ".safetensors");
        EXPECT_TRUE(file.ok()) << file.status().message();
        return {name, entry.at("quantization_config"), entry.at("shape").get<std::vector<i64>>(),
                std::move(file).value()};
    }
};

// The format that a config gives to a layer of this name.
inline Result<LayerFormat> format_of(const nlohmann::json& config, const std::string& layer = "layer") {
    WW_ASSIGN(const QuantizationConfig read,
              QuantizationConfig::parse(config, "config.json: quantization_config"));
    WW_ASSIGN(const LayerFormat* format, read.format_of(layer));
    if (format == nullptr) return caller_error("not quantised");
    return *format;
}

inline Result<formats::StoredWeight> open_golden(const Golden& golden, const nlohmann::json& config) {
    WW_ASSIGN(const LayerFormat format, format_of(config));
    return open_weight(golden.file, "layer", format, golden.shape[0], golden.shape[1]);
}

}  // namespace warpwright::test
