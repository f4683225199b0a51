// SPDX-License-Identifier: Apache-2.0
#include "engine/gptq/layer_pass.h"

#include <algorithm>
#include <mutex>
#include <numeric>

#include "kernels/host_simd.h"

namespace warpwright {
namespace {

constexpr i64 kPageTokens = 16;
constexpr i64 kReadRows = 64;  // that a thread reads at a time

}  // namespace

LayerPass::Product LayerPass::product_of(const Parameter& parameter) {
    if (parameter.layer_product == &LayerWeights::qkv) return qkv;
    if (parameter.layer_product == &LayerWeights::o) return o;
    if (parameter.layer_product == &LayerWeights::gate_up) return gate_up;
    return parameter.layer_product == &LayerWeights::down ? down : end;
}

Result<std::unique_ptr<LayerPass>> LayerPass::create(const ModelConfig& config,
                                                     const std::vector<Parameter>& parameters,
                                                     const WeightSource& source, i64 tokens) {
    std::unique_ptr<LayerPass> pass(new LayerPass(config, parameters, source));
    WW_TRY(pass->allocate(tokens));
    return pass;
}

Status LayerPass::allocate(i64 tokens) {
    windows_ = config_.windows;
    embedding_scale_ = config_.embedding_scale;
    config_.num_layers = 1;
    config_.windows = {0};
    config_.vocab_size = static_cast<int>(tokens);
    config_.tie_word_embeddings = true;
    config_.quantization = nullptr;
    WW_ASSIGN(context_, Context::open("cpu"));
    const auto device = context_->shared_device();
    weights_.layers.resize(1);
    for (const Parameter& parameter : list_parameters(config_)) {
        const i64 bytes = parameter.num_elements() * dtype_bytes(parameter.dtype(config_));
        WW_ASSIGN(Buffer buffer, Buffer::allocate(device, static_cast<std::size_t>(bytes)));
        if (parameter.is_product()) parameter.product_of(weights_) = {{.rows = parameter.shape[0]}};
        parameter.of(weights_) = parameter.view(buffer.data(), config_);
        if (parameter.layer < 0) WW_TRY(context_->device().fill(buffer.data(), 0, buffer.bytes(), {}));
        const bool is_table = parameter.model_tensor == &Weights::embedding;
        (is_table ? table_ : weights_.storage.emplace_back()) = std::move(buffer);
    }
    weights_.lm_head = {{.rows = tokens, .dense = weights_.embedding}};

    const i64 num_pages = (tokens + kPageTokens - 1) / kPageTokens;
    WW_ASSIGN(pages_, PagePool::create(*context_, config_, KvFormat::same, num_pages, kPageTokens));
    WW_ASSIGN(inputs_, StepInputs::create(
                           *context_, {.tokens = tokens, .sequences = 1, .pages_per_sequence = num_pages}));
    const auto count_up = [&](StepInputs::Array array, i64 count) {
        const auto values = inputs_.integers(array).first(static_cast<std::size_t>(count));
        std::iota(values.begin(), values.end(), 0);
    };
    count_up(StepInputs::token_ids, tokens);
    count_up(StepInputs::positions, tokens);
    count_up(StepInputs::page_table, num_pages);
    inputs_.integers(StepInputs::q_starts)[1] = inputs_.integers(StepInputs::kv_lengths)[0] =
        static_cast<i32>(tokens);
    WW_TRY(inputs_.upload(context_->device(), {}));
    shape_ = {.tokens = tokens, .sequences = 1, .max_q_len = tokens, .max_kv_len = tokens};
    return {};
}

Tensor& LayerPass::weights_of(const Parameter& parameter) {
    Parameter of_ours = parameter;
    of_ours.layer = 0;
    return of_ours.of(weights_);
}

Status LayerPass::open(int layer) {
    for (const Parameter& parameter : parameters_) {
        if (parameter.layer != layer) continue;
        const i64 columns = parameter.num_elements() / parameter.shape[0];
        auto* const to = static_cast<std::byte*>(weights_of(parameter).data);
        for (const ParameterPiece& piece : parameter.pieces) {
            std::mutex mutex;
            Status status;
            threads_.parallel_for(piece.shape[0], kReadRows, [&](i64 begin, i64 end) {
                const PiecePart part{&parameter, &piece, begin * columns, (end - begin) * columns};
                const DType dtype = parameter.dtype(config_);
                Status read =
                    source_.read(part, dtype, to + (piece.first_row + begin) * columns * dtype_bytes(dtype));
                const std::lock_guard lock(mutex);
                if (status.ok()) status = std::move(read);
            });
            WW_TRY(status);
        }
    }
    config_.windows = {windows_[static_cast<std::size_t>(layer)]};
    config_.embedding_scale = layer == 0 ? embedding_scale_ : 1;
    WW_ASSIGN(forward_, Forward::create(*context_, config_, weights_, pages_, inputs_, shape_));
    products_.clear();
    WW_ASSIGN(prepared_, forward_.prepare(shape_, {.products = &products_}));
    return {};
}

Status LayerPass::launch(std::size_t num_steps) {
    Device& device = context_->device();
    for (std::size_t i = 0; i < num_steps; ++i) {
        const Prepared::Step& step = prepared_.steps[i];
        WW_TRY(device.launch(step.kernel, step.config, step.args, {}));
    }
    return device.synchronize({});
}

Result<Tensor> LayerPass::run_to(Product product) {
    const ProductInput& input = products_[static_cast<std::size_t>(product)];
    WW_TRY(launch(input.step));
    return input.a;
}

// The norm in front of the output layer adds what the layer made.
Result<Tensor> LayerPass::run() {
    WW_TRY(launch(products_[end].step));
    return forward_.residual(shape_.tokens);
}

void LayerPass::put(const Parameter& parameter, const ParameterPiece& piece, i64 first_row,
                    const float* values, i64 rows) {
    const i64 columns = piece.shape[1];
    auto* const to = static_cast<u16*>(weights_of(parameter).data) + (piece.first_row + first_row) * columns;
    narrow_of(host_simd(), config_.dtype)(values, rows * columns, to);
}

}  // namespace warpwright
