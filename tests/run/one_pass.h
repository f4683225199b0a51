// SPDX-License-Identifier: Apache-2.0
// One pass of a model over a prompt, launch by launch, with keys and values in any format.
#pragma once

#include <functional>
#include <numeric>

#include "engine/formats/kv_scales.h"
#include "engine/forward.h"
#include "run/glossary.h"

namespace warpwright::test {

class OnePass {
public:
    // `scales` by layer; none: 1. `expands`: as ModelConfig::expands_latents.
    OnePass(std::shared_ptr<Context> context, KvFormat format, const std::vector<i32>& prompt,
            const std::vector<LayerKvScales>& scales = {}, const std::string& folder = glossary_folder(),
            std::optional<bool> expands = {})
        : context_(std::move(context)), config_(load_config(folder).value()) {
        config_.kv_format = format;
        config_.expands_latents = expands;
        weights_ = load_weights(*context_, config_, folder).value();
        for (std::size_t i = 0; i < scales.size(); ++i) {
            weights_.layers[i].k_scale = uploaded(scales[i].k);
            weights_.layers[i].v_scale = uploaded(scales[i].v);
        }
        const auto tokens = static_cast<i64>(prompt.size());
        const i64 num_pages = (tokens + kPageSize - 1) / kPageSize;
        pages_ = PagePool::create(*context_, config_, format, num_pages, kPageSize).value();
        inputs_ = StepInputs::create(
                      *context_,
                      {.tokens = tokens, .sequences = 1, .pages_per_sequence = num_pages, .kv_slots = tokens})
                      .value();
        std::ranges::copy(prompt, inputs_.integers(StepInputs::token_ids).begin());
        const auto positions = inputs_.integers(StepInputs::positions);
        std::iota(positions.begin(), positions.end(), 0);
        // The last page first.
        page_table_ = inputs_.integers(StepInputs::page_table);
        for (i64 i = 0; i < num_pages; ++i)
            page_table_[static_cast<std::size_t>(i)] = static_cast<i32>(num_pages - 1 - i);
        inputs_.integers(StepInputs::q_starts)[1] = inputs_.integers(StepInputs::kv_lengths)[0] =
            static_cast<i32>(tokens);
        inputs_.integers(StepInputs::last_rows)[0] = static_cast<i32>(tokens - 1);
        inputs_.integers(StepInputs::kv_starts)[1] = static_cast<i32>(tokens);
        for (i64 i = 0; i < tokens; ++i)
            inputs_.integers(StepInputs::kv_slots)[static_cast<std::size_t>(i)] =
                static_cast<i32>(page_slot(i));
        EXPECT_TRUE(inputs_.upload(device(), {}).ok());
        const ForwardShape shape{.tokens = tokens, .sequences = 1, .max_q_len = tokens, .max_kv_len = tokens};
        forward_ = Forward::create(*context_, config_, weights_, pages_, inputs_, shape).value();
        prepared_ = forward_.prepare(shape).value();
    }

    // Calls before(step) and after(step) around each launch; either may be null.
    using Watch = std::function<void(const Prepared::Step&)>;
    std::vector<float> run(const Watch& before = {}, const Watch& after = {}) {
        for (const Prepared::Step& step : prepared_.steps) {
            if (before) before(step);
            EXPECT_TRUE(device().launch(step.kernel, step.config, step.args, {}).ok()) << step.row;
            if (after) after(step);
        }
        return from_device<float>(forward_.logits(1).data, static_cast<std::size_t>(config_.vocab_size));
    }

    template <class T>
    std::vector<T> from_device(const void* at, std::size_t count) {
        std::vector<T> values(count);
        EXPECT_TRUE(device().copy_out(values.data(), at, count * sizeof(T), {}).ok());
        return values;
    }

    const Prepared& prepared() const { return prepared_; }
    Device& device() { return context_->device(); }
    const ModelConfig& config() const { return config_; }
    const PagePool& pages() const { return pages_; }
    // Of a layer's slots, the one with this position.
    i64 page_slot(i64 position) const {
        return page_table_[static_cast<std::size_t>(position / kPageSize)] * kPageSize + position % kPageSize;
    }
    // In a layer's pages, of this position's first head.
    std::size_t slot_of(i64 position) const {
        return static_cast<std::size_t>(page_slot(position) * config_.num_kv_heads * config_.head_dim);
    }
    static constexpr i64 kPageSize = 16;

private:
    Tensor uploaded(const std::vector<float>& values) {
        if (values.empty()) return {};
        Buffer buffer = Buffer::allocate(context_->shared_device(), values.size() * sizeof(float)).value();
        EXPECT_TRUE(device().copy_in(buffer.data(), values.data(), buffer.bytes(), {}).ok());
        EXPECT_TRUE(device().synchronize({}).ok());
        const Tensor tensor = Tensor::dense(buffer.data(), DType::f32, {static_cast<i64>(values.size())});
        weights_.storage.push_back(std::move(buffer));
        return tensor;
    }

    std::shared_ptr<Context> context_;
    ModelConfig config_;
    Weights weights_;
    PagePool pages_;
    StepInputs inputs_;
    std::span<i32> page_table_;
    Forward forward_;
    Prepared prepared_;
};

}  // namespace warpwright::test
