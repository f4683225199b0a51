// SPDX-License-Identifier: Apache-2.0
// One layer of a model at a time, on the host: a Forward of that layer alone, over one sequence, whose
// embedding table is what goes into the layer. So what a product multiplies here is what it multiplies in the
// whole model.
#pragma once

#include <memory>

#include "device/host_threads.h"
#include "engine/forward.h"
#include "engine/weight_source.h"

namespace warpwright {

class LayerPass {
public:
    // A layer's products in their order; `end` is behind them all.
    enum Product { qkv, o, gate_up, down, end };
    static Product product_of(const Parameter& parameter);

    // For sequences of `tokens` tokens. `parameters` are the whole checkpoint's and must outlive it, like
    // `source`.
    static Result<std::unique_ptr<LayerPass>> create(const ModelConfig& config,
                                                     const std::vector<Parameter>& parameters,
                                                     const WeightSource& source, i64 tokens);

    // From now on it is this layer, with the checkpoint's weights.
    Status open(int layer);

    // Rows [tokens, hidden] that go into the layer: of the residual stream; of embeddings in front of layer
    // 0.
    std::span<std::byte> inputs() const { return {table_.as<std::byte>(), table_.bytes()}; }
    // Everything in front of a product: what it is to multiply, [tokens, columns]. Valid until the next run.
    Result<Tensor> run_to(Product product);
    // The whole layer: the residual stream behind it, [tokens, hidden].
    Result<Tensor> run();

    // Rows of a piece of the open layer, replaced.
    void put(const Parameter& parameter, const ParameterPiece& piece, i64 first_row, const float* values,
             i64 rows);

    HostThreads& threads() { return threads_; }

private:
    LayerPass(const ModelConfig& config, const std::vector<Parameter>& parameters, const WeightSource& source)
        : config_(config), parameters_(parameters), source_(source) {}
    Status allocate(i64 tokens);
    Tensor& weights_of(const Parameter& parameter);
    Status launch(std::size_t num_steps);

    ModelConfig config_;  // of one layer
    std::vector<i64> windows_;
    double embedding_scale_ = 1;
    const std::vector<Parameter>& parameters_;
    const WeightSource& source_;
    std::shared_ptr<Context> context_;
    HostThreads threads_;
    Weights weights_;
    Buffer table_;
    PagePool pages_;
    StepInputs inputs_;
    Forward forward_;
    ForwardShape shape_;
    Prepared prepared_;
    std::vector<ProductInput> products_;
};

}  // namespace warpwright
