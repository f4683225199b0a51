// SPDX-License-Identifier: Apache-2.0
// Loading: the same bytes on the device however many threads read them in whatever parts, from every type.
#include "engine/weights.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

#include "engine/messages.h"
#include "engine/parameters.h"
#include "engine/scratch.h"
#include "engine/weight_source.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

ModelConfig small_config() {
    auto config =
        parse_config(R"({"architectures":["LlamaForCausalLM"],"hidden_size":24,"num_hidden_layers":3,
        "num_attention_heads":4,"num_key_value_heads":2,"head_dim":6,"intermediate_size":44,"vocab_size":50,
        "attention_bias":true})",
                     "", "config.json");
    EXPECT_TRUE(config.ok()) << config.status().message();
    return *config;
}

// Random fp32 values of every stored tensor, and files that hold them as other types in several shards.
class Checkpoint {
public:
    explicit Checkpoint(const ModelConfig& config) {
        std::mt19937 random(7);
        std::normal_distribution<float> normal;
        for (const Parameter& parameter : list_parameters(config)) {
            for (const ParameterPiece& piece : parameter.pieces) {
                auto& [shape, values] = tensors_[piece.name];
                shape = piece.shape;
                values.resize(static_cast<std::size_t>(piece.num_elements()));
                for (float& value : values) value = normal(random);
            }
        }
    }

    const std::vector<float>& values(const std::string& name) const { return tensors_.at(name).second; }

    // Types in turn, shards in turn.
    void write(const std::vector<DType>& types, int num_shards) {
        std::vector<std::vector<StoredTensor>> shards(static_cast<std::size_t>(num_shards));
        std::vector<std::vector<std::byte>> storage;
        std::string map;
        std::size_t number = 0;
        for (const auto& [name, tensor] : tensors_) {
            const auto& [shape, values] = tensor;
            const DType type = types[number % types.size()];
            auto& bytes = storage.emplace_back(values.size() * static_cast<std::size_t>(dtype_bytes(type)));
            for (std::size_t i = 0; i < values.size(); ++i)
                store_float(bytes.data(), type, static_cast<i64>(i), values[i]);
            const std::size_t shard = number % shards.size();
            shards[shard].push_back({name, type, shape, bytes});
            map += (map.empty() ? "\"" : ",\"") + name + "\":\"" + std::to_string(shard) + ".safetensors\"";
            ++number;
        }
        for (std::size_t i = 0; i < shards.size(); ++i) {
            const auto path = scratch_.folder() / (std::to_string(i) + ".safetensors");
            ASSERT_TRUE(write_safetensors(path, shards[i]).ok());
        }
        scratch_.write("model.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
    }
    std::string folder() const { return scratch_.folder().string(); }
    const Scratch& scratch() const { return scratch_; }

private:
    std::map<std::string, std::pair<std::vector<i64>, std::vector<float>>> tensors_;
    Scratch scratch_;
};

// The bytes of one tensor of the weights.
std::vector<std::byte> bytes_on(Device& device, const Parameter& parameter, Weights& weights) {
    const Tensor& tensor = parameter.of(weights);
    std::vector<std::byte> bytes(
        static_cast<std::size_t>(parameter.num_elements() * dtype_bytes(tensor.dtype)));
    EXPECT_TRUE(device.copy_out(bytes.data(), tensor.data, bytes.size(), {}).ok());
    return bytes;
}

class LoadWeights : public ::testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        auto opened = Context::open(GetParam());
        ASSERT_TRUE(opened.ok()) << opened.status().message();
        context_ = *opened;
    }
    std::shared_ptr<Context> context_;
};

TEST_P(LoadWeights, AreTheFileOnesRounded) {
    const ModelConfig config = small_config();
    Checkpoint checkpoint(config);
    const auto parameters = list_parameters(config);
    for (const auto& types : std::vector<std::vector<DType>>{
             {DType::bf16}, {DType::f32}, {DType::f16}, {DType::f16, DType::bf16, DType::f32}}) {
        checkpoint.write(types, 3);
        for (const LoadTuning& tuning : {LoadTuning{}, {1, 0}, {3, 2}, {8, 10}, {5, 4096}}) {
            SCOPED_TRACE(std::to_string(tuning.num_threads) + " threads, parts of " +
                         std::to_string(tuning.part_bytes));
            auto weights = load_weights(*context_, config, checkpoint.folder(), {}, tuning);
            ASSERT_TRUE(weights.ok()) << weights.status().message();
            std::size_t number = 0;
            std::map<std::string, DType> type_of;  // in the order of the names, as they were written
            for (const Parameter& parameter : parameters) {
                for (const ParameterPiece& piece : parameter.pieces) type_of[piece.name] = DType::bf16;
            }
            for (auto& [name, type] : type_of) type = types[number++ % types.size()];
            for (const Parameter& parameter : parameters) {
                const auto bytes = bytes_on(context_->device(), parameter, *weights);
                i64 at = 0;
                for (const ParameterPiece& piece : parameter.pieces) {
                    for (const float value : checkpoint.values(piece.name)) {
                        const float stored = round_to(type_of[piece.name], value);
                        ASSERT_EQ(load_float(bytes.data(), config.dtype, at), round_to(config.dtype, stored))
                            << piece.name << " at " << at;
                        ++at;
                    }
                }
            }
            EXPECT_EQ(weights->bytes, num_parameters(config) * 2);
            EXPECT_TRUE(weights->ignored.empty());
        }
    }
}

TEST_P(LoadWeights, RandomOnesDependOnTheSeedOnly) {
    const ModelConfig config = small_config();
    const auto parameters = list_parameters(config);
    const auto all = [&](u64 seed, const LoadTuning& tuning) {
        auto weights = random_weights(*context_, config, seed, {}, tuning);
        EXPECT_TRUE(weights.ok()) << weights.status().message();
        std::vector<std::byte> bytes;
        for (const Parameter& parameter : parameters) {
            const auto one = bytes_on(context_->device(), parameter, *weights);
            bytes.insert(bytes.end(), one.begin(), one.end());
        }
        return bytes;
    };
    const auto first = all(5, {});
    EXPECT_EQ(first, all(5, {1, 6}));
    EXPECT_EQ(first, all(5, {7, 100}));
    EXPECT_NE(first, all(6, {}));
}

TEST_P(LoadWeights, RandomPackedOnesToo) {
    ModelConfig config = small_config();
    config.hidden_size = 256;
    config.intermediate_size = 384;
    config.num_heads = 42;  // 252 columns of o_proj: one group
    for (const char* format : {"fp8", "nvfp4"}) {
        SCOPED_TRACE(format);
        if (format == std::string("nvfp4")) config.num_heads = 64;
        const auto formed = with_format(config, format);
        ASSERT_TRUE(formed.ok());
        const auto codes = [&](u64 seed, const LoadTuning& tuning) {
            auto weights = random_weights(*context_, *formed, seed, {}, tuning);
            EXPECT_TRUE(weights.ok()) << weights.status().message();
            EXPECT_EQ(weights->bytes, weights->forms.weight_bytes);
            std::vector<std::byte> bytes;
            for (const LayerWeights& layer : weights->layers) {
                for (const ProductWeight* product : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down}) {
                    const QuantizedWeight& weight = product->at(0).quantized;
                    EXPECT_FALSE(product->at(0).dense);
                    for (const Tensor& tensor : {weight.data, weight.scales}) {
                        const std::size_t start = bytes.size();
                        const auto size =
                            static_cast<std::size_t>(tensor.shape[0] * dtype_bytes(tensor.dtype));
                        bytes.resize(start + size);
                        EXPECT_TRUE(context_->device().copy_out(&bytes[start], tensor.data, size, {}).ok());
                    }
                }
            }
            return bytes;
        };
        const auto first = codes(5, {});
        EXPECT_EQ(first, codes(5, {7, 100}));
        EXPECT_NE(first, codes(6, {}));
    }
}

INSTANTIATE_TEST_SUITE_P(Devices, LoadWeights, ::testing::Values("cpu", "emulated:h100"),
                         [](const auto& info) { return info.param[0] == 'c' ? "cpu" : "emulated"; });

TEST(LoadWeights, ProgressRisesToAllOfItOnTheCallersThread) {
    auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok());
    const ModelConfig config = small_config();
    const auto caller = std::this_thread::get_id();
    i64 last = 0, total = 0;
    auto weights = random_weights(**context, config, 1, [&](i64 done_bytes, i64 total_bytes) {
        EXPECT_EQ(std::this_thread::get_id(), caller);
        EXPECT_GE(done_bytes, last);
        EXPECT_LE(done_bytes, total_bytes);
        last = done_bytes;
        total = total_bytes;
    });
    ASSERT_TRUE(weights.ok());
    EXPECT_EQ(total, weights->bytes);
    EXPECT_EQ(last, total);
}

TEST(LoadWeights, WhatNobodyNeedsIsCounted) {
    auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok());
    const ModelConfig config = small_config();
    Checkpoint checkpoint(config);
    checkpoint.write({DType::bf16}, 1);
    const std::vector<std::byte> image(20);
    const StoredTensor more[] = {{"vision_tower.a", DType::bf16, {8}, std::span(image).first(16)},
                                 {"vision_tower.b", DType::u8, {4}, std::span(image).last(4)}};
    ASSERT_TRUE(write_safetensors(checkpoint.scratch().folder() / "more.safetensors", more).ok());
    std::string index = read_all(checkpoint.scratch().folder() / "model.safetensors.index.json");
    index.insert(index.rfind("}}"), R"(,"vision_tower.a":"more.safetensors")");
    checkpoint.scratch().write("model.safetensors.index.json", index);
    auto weights = load_weights(**context, config, checkpoint.folder());
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    EXPECT_EQ(weights->ignored, (std::vector<std::string>{"vision_tower (2 tensors)"}));
}

// A file that shrinks behind the header's check ends the loading with an error, not with a signal.
TEST(LoadWeights, AFileThatShrinksWhileItIsRead) {
    const ModelConfig config = small_config();
    Checkpoint checkpoint(config);
    checkpoint.write({DType::f32}, 1);
    const auto file = Safetensors::open(checkpoint.folder());
    ASSERT_TRUE(file.ok());
    const auto parameters = find_parameters(config, *file);
    ASSERT_TRUE(parameters.ok());
    std::filesystem::resize_file(checkpoint.scratch().folder() / "0.safetensors", 3000);
    const CheckpointSource source(*file);
    int failed = 0;
    for (const Parameter& parameter : *parameters) {
        for (const ParameterPiece& piece : parameter.pieces) {
            std::vector<std::byte> out(static_cast<std::size_t>(piece.num_elements() * 2));
            const Status status =
                source.read({&parameter, &piece, 0, piece.num_elements()}, DType::bf16, out.data());
            if (status.ok()) continue;
            EXPECT_EQ(status.kind(), ErrorKind::unavailable);
            EXPECT_TRUE(contains(status.message(), " any more; it had 74024 bytes when it was opened"));
            ++failed;
        }
    }
    EXPECT_GT(failed, 0);
}

}  // namespace
}  // namespace warpwright
