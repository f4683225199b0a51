// SPDX-License-Identifier: Apache-2.0
// What every product of a model multiplies when the model reads a text: layer after layer, each product
// behind products that are quantised already. In memory are one layer's weights and one product's Hessian;
// what goes into a layer is a file.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "engine/gptq/hessian.h"
#include "engine/gptq/layer_pass.h"
#include "engine/output_file.h"

namespace warpwright {

struct GptqOptions {
    std::string calibration;     // a text file; empty: definitions of English words, which the library holds
    i64 num_tokens = 32768;      // of it
    i64 sequence_tokens = 2048;  // read at a time, or the model's context
    double damping = 0.01;       // of the mean diagonal of H
    // Columns are rounded by their importance, not from last to first; groups stay what they are.
    bool act_order = false;
};

class Calibration {
public:
    using GoOn = std::function<bool()>;  // asked between sequences; false stops

    // The text as sequences of equal length, and their embeddings as a file in `work`. Caller errors: a model
    // with experts; no tokenizer in `folder`; a text that is shorter than one sequence of 16 tokens.
    static Result<std::unique_ptr<Calibration>> create(const ModelConfig& config, const std::string& folder,
                                                       const std::vector<Parameter>& parameters,
                                                       const WeightSource& source, const GptqOptions& options,
                                                       const std::filesystem::path& work, GoOn go_on);

    // Whether `work` holds what goes into this layer: a run that was stopped goes on there.
    bool can_begin_at(int layer) const;
    // A parameter's inputs: in hessian(), factored. Parameters are asked for in their order; those in front
    // of it have been put(), and their layers finished.
    Status begin(const Parameter& parameter);
    const Hessian& hessian() const { return *hessian_; }
    std::span<const i32> order() const { return order_; }  // of hessian()'s positions; empty: as they are
    // Quantised rows, as numbers. From any thread.
    void put(const Parameter& parameter, const ParameterPiece& piece, i64 first_row, const float* values,
             i64 rows) {
        pass_->put(parameter, piece, first_row, values, rows);
    }
    // The layer's parameters are all quantised: what goes into the next one becomes a file.
    Status finish_layer();
    // Removes what belongs to layers in front of this one.
    void forget_before(int layer);

    i64 num_tokens() const { return num_sequences_ * sequence_tokens_; }

private:
    Calibration() = default;
    Status read_text(const ModelConfig& config, const std::string& folder, const GptqOptions& options,
                     std::vector<i32>& tokens);
    Status write_embeddings(const std::vector<i32>& tokens, const std::vector<Parameter>& parameters,
                            const WeightSource& source);
    Status open_layer(int layer);
    Status accumulate(LayerPass::Product product, i64 columns);
    // body(sequence) with its rows in the pass; what stops it is an error.
    template <class Body>
    Status each_sequence(Body body);
    std::filesystem::path rows_file(int layer) const;
    i64 sequence_bytes() const;

    GptqOptions options_;
    std::filesystem::path work_;
    GoOn go_on_;
    DType dtype_ = DType::bf16;
    i64 num_sequences_ = 0, sequence_tokens_ = 0, hidden_ = 0;
    std::unique_ptr<LayerPass> pass_;
    OutputFile rows_;  // of the open layer
    int layer_ = -1;
    LayerPass::Product product_ = LayerPass::end;
    std::optional<Hessian> hessian_;
    std::vector<i32> order_;
};

}  // namespace warpwright
