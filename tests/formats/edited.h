// SPDX-License-Identifier: Apache-2.0
// A golden's checkpoint with something changed in it.
#pragma once

#include <cstring>
#include <map>

#include "engine/scratch.h"
#include "golden.h"

namespace warpwright::test {

struct EditedTensor {
    std::string type;
    std::vector<i64> shape;
    std::vector<std::byte> bytes;

    template <class T>
    T* as() {
        return reinterpret_cast<T*>(bytes.data());
    }
};

class Edited {
public:
    explicit Edited(const std::string& golden) : config(goldens().at(golden).at("quantization_config")) {
        const Golden from = Golden::open(golden);
        shape = from.shape;
        for (const std::string& name : from.file.names()) {
            const auto stored = from.file.find_any(name);
            EXPECT_TRUE(stored.ok());
            i64 bits = stored->type->bits;
            for (const i64 extent : stored->shape) bits *= extent;
            EditedTensor tensor{std::string(stored->type->name), stored->shape,
                                std::vector<std::byte>(static_cast<std::size_t>(bits / 8))};
            EXPECT_TRUE(stored->mapped->read(stored->file_offset, tensor.bytes).ok());
            tensors[name] = std::move(tensor);
        }
    }
    EditedTensor& operator[](const std::string& name) { return tensors["layer." + name]; }
    void erase(const std::string& name) { tensors.erase("layer." + name); }

    // Writes the file and opens the layer by `config`.
    Result<formats::StoredWeight> open() {
        nlohmann::json header;
        std::string body;
        for (const auto& [name, tensor] : tensors) {
            const std::size_t begin = body.size();
            body.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
            header[name] = {
                {"dtype", tensor.type}, {"shape", tensor.shape}, {"data_offsets", {begin, body.size()}}};
        }
        const std::string text = header.dump();
        std::string file(8, '\0');
        const u64 length = text.size();
        std::memcpy(file.data(), &length, 8);
        WW_ASSIGN(Safetensors opened,
                  Safetensors::open(scratch_.write("model.safetensors", file + text + body)));
        checkpoint = std::make_unique<Safetensors>(std::move(opened));
        WW_ASSIGN(const LayerFormat format, format_of(config));
        return open_weight(*checkpoint, "layer", format, shape[0], shape[1]);
    }
    // The message of what is refused on opening, or on reading all rows.
    std::string refusal() {
        const auto weight = open();
        if (!weight.ok()) return weight.status().message();
        return read_rows(*weight, 0, weight->rows).status().message();
    }

    nlohmann::json config;
    std::vector<i64> shape;
    std::map<std::string, EditedTensor> tensors;
    std::unique_ptr<Safetensors> checkpoint;

private:
    Scratch scratch_;
};

}  // namespace warpwright::test
