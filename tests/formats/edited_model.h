// SPDX-License-Identifier: Apache-2.0
// A quantised model's folder with something changed in it.
#pragma once

#include <cstring>
#include <functional>
#include <memory>

#include "engine/scratch.h"
#include "run/glossary.h"

namespace warpwright::test {

// A tensor of one type, as bytes.
struct AddedTensor {
    std::string type;
    std::vector<i64> shape;
    std::string bytes;

    static AddedTensor number(float value) {
        AddedTensor tensor{"F32", {1}, std::string(4, '\0')};
        std::memcpy(tensor.bytes.data(), &value, 4);
        return tensor;
    }
};

class EditedModel {
public:
    explicit EditedModel(const std::string& from)
        : config(nlohmann::json::parse(read_all(from + "/config.json"))),
          file_(read_all(from + "/model.safetensors")) {}

    // The only group of a compressed-tensors config.
    nlohmann::json& group() { return config["quantization_config"]["config_groups"]["group_0"]; }
    nlohmann::json& inputs() { return group()["input_activations"]; }
    // For every quantised layer of the checkpoint: `make` of its name.
    void add_to_each_layer(const std::string& suffix,
                           const std::function<AddedTensor(const std::string&)>& make) {
        const nlohmann::json known = header();
        for (const auto& [name, entry] : known.items()) {
            constexpr std::string_view kScale = ".weight_scale";
            if (!name.ends_with(kScale)) continue;
            const std::string layer = name.substr(0, name.size() - kScale.size());
            added[layer + "." + suffix] = make(layer);
        }
    }

    // The folder, written once.
    std::string folder() {
        nlohmann::json changed = header();
        std::string body = file_.substr(8 + header_bytes());
        for (const auto& [name, tensor] : added) {
            changed[name] = {{"dtype", tensor.type},
                             {"shape", tensor.shape},
                             {"data_offsets", {body.size(), body.size() + tensor.bytes.size()}}};
            body += tensor.bytes;
        }
        const std::string text = changed.dump();
        const u64 length = text.size();
        std::string begin(8, '\0');
        std::memcpy(begin.data(), &length, 8);
        scratch_->write("model.safetensors", begin + text + body);
        scratch_->write("config.json", config.dump());
        return scratch_->folder().string();
    }

    nlohmann::json config;
    std::map<std::string, AddedTensor> added;

private:
    u64 header_bytes() const {
        u64 length = 0;
        std::memcpy(&length, file_.data(), 8);
        return length;
    }
    nlohmann::json header() const { return nlohmann::json::parse(file_.substr(8, header_bytes())); }

    std::string file_;
    std::unique_ptr<Scratch> scratch_ = std::make_unique<Scratch>();
};

}  // namespace warpwright::test
