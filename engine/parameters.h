// SPDX-License-Identifier: Apache-2.0
// What a config needs from a checkpoint, as a list: for every tensor of Weights the stored tensors that it is
// made of; a product's weight is a tensor, or several where its parts have different forms (weight_forms.h).
// Loading, random weights, counting and the check of a checkpoint all read this one list.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/formats/open_weight.h"
#include "engine/safetensors.h"
#include "engine/weights.h"
#include "formats/stored_weight.h"

namespace warpwright {

// A stored tensor: whole, it becomes rows of one tensor of Weights. (Families that store q, k and v, or gate
// and up, as one tensor have them in our order.)
struct ParameterPiece {
    std::string name;        // in the checkpoint
    std::vector<i64> shape;  // that it must have there: [rows] or [rows, columns]
    i64 first_row = 0;       // where its rows begin in the destination
    // Where in a tensor of this shape it is, if it is not the whole: row r, column c at element first +
    // r row_stride + c column_stride.
    struct View {
        std::vector<i64> shape;
        i64 first = 0, row_stride = 0, column_stride = 1;
    };
    std::optional<View> view;
    // How it is stored instead where the checkpoint has it quantised; then there is no tensor of its name.
    std::shared_ptr<const formats::StoredWeight> quantized;
    std::optional<InputScale>
        input_scale;  // by which its inputs become codes, where that is in the checkpoint

    i64 num_elements() const;
};

// A tensor of Weights, or a weight that is packed codes there.
struct Parameter {
    // weights.layers, and in the second one the product's parts, must be there.
    WeightPart& part_of(Weights& weights) const;
    Tensor& of(Weights& weights) const;
    ProductWeight& product_of(Weights& weights) const;
    bool is_product() const { return layer_product != nullptr || model_product != nullptr; }
    DType dtype(const ModelConfig& config) const { return is_f32 ? DType::f32 : config.dtype; }
    Tensor view(void* data, const ModelConfig& config) const;
    i64 num_elements() const;

    int layer = -1;  // -1: of the model itself
    Tensor Weights::*model_tensor = nullptr;
    Tensor LayerWeights::*layer_tensor = nullptr;
    ProductWeight Weights::*model_product = nullptr;
    ProductWeight LayerWeights::*layer_product = nullptr;
    std::string name;  // of a product: "qkv_proj", or of its part

    std::size_t part = 0;    // of the product's
    i64 first_row = 0;       // of the part, in the product
    WeightForm form;         // of a product
    i64 experts = 0;         // whose weights are one below the other, as codes; 0: of no experts
    float input_scale = 0;   // by which its inputs become codes, where they do and it is not made of them
    std::string converted;   // why a quantised one is numbers
    std::string not_coded;   // why its inputs are numbers although the checkpoint says they are codes
    std::vector<i64> shape;  // [rows] or [rows, columns], dense, as config.dtype or, of vectors that are
    bool is_f32 = false;     // read as such, in f32
    bool is_norm = false;
    double neutral = 0;  // what random values are around: for norms what makes the weight used 1
    std::vector<ParameterPiece> pieces;
};

// Where a checkpoint keeps the text model: multimodal ones have it beside a vision tower.
struct CheckpointPrefix {
    std::string body = "model.";  // + "layers.0.input_layernorm.weight"
    std::string head;             // + "lm_head.weight"
};
CheckpointPrefix prefix_of(const Safetensors& checkpoint);

// In the order of the forward pass. The output layer is among them unless it is the embedding.
std::vector<Parameter> list_parameters(const ModelConfig& config, const CheckpointPrefix& prefix = {});

// The list for a checkpoint, under the prefix that it has. Caller errors that name file and tensor: one that
// is missing, has another shape or no floating-point type, or stands among the layers and is not of this
// config (a bias, a norm or a layer that the config does not have); an output layer that is not the embedding
// although they are tied; and for a quantised layer what open_weight refuses.
Result<std::vector<Parameter>> find_parameters(const ModelConfig& config, const Safetensors& checkpoint);

// The format that the config says a piece is stored in; null: none.
Result<const LayerFormat*> format_of_piece(const ModelConfig& config, const ParameterPiece& piece);

// What else a checkpoint holds, a vision tower for one: "vision_tower (436 tensors)", by the first part of
// their names.
std::vector<std::string> unused_tensors(const std::vector<Parameter>& parameters,
                                        const Safetensors& checkpoint);

// Weights as stored: embeddings, layers, final norm, and the output layer unless tied.
i64 num_parameters(const ModelConfig& config);

// Experts of a layer are of one shape: the first of each layer in place of all, and how many of a parameter
// that list has are there.
std::vector<Parameter> list_with_one_expert(ModelConfig config);
i64 times_listed(const ModelConfig& config, const Parameter& parameter);

}  // namespace warpwright
