// SPDX-License-Identifier: Apache-2.0
// In which form the weight of each product is multiplied: as numbers of the model's type, as packed codes of
// a quantised format, or as codes by codes that its inputs become (coded_inputs.h); and in which form keys
// and values are kept. Loading, forward pass and plan go by this one decision.
#pragma once

#include <string>
#include <vector>

#include "engine/config.h"
#include "warpwright/weight_format.h"

namespace warpwright {

struct Parameter;

struct WeightForm {
    bool packed = false;  // neither this nor `coded`: numbers, and nothing below counts
    WeightFormat format = WeightFormat::int4;
    i64 group = 0;  // this and the others as in QuantizedWeight
    DType scale = DType::bf16;
    bool zeros = false, order = false;

    // Codes by codes: `format` is int8 or fp8_e4m3. group: 0, a scale for each row of weights and of inputs;
    // 128, of 128 x 128 and 1 x 128; 32, of 1 x 32.
    bool coded = false;
    bool given_scale = false;  // all inputs have one scale, of the checkpoint
    int input = 0;             // which of the product's: parts whose given scales differ have different codes

    bool operator==(const WeightForm&) const = default;
};

// Rows of a product's weight that are multiplied by one kernel.
struct PartForm {
    std::string name;  // "qkv_proj"; where a product has several parts "q_proj", "k_proj+v_proj"
    i64 rows = 0;
    WeightForm form;

    bool operator==(const PartForm&) const = default;
};
using ProductForm = std::vector<PartForm>;  // from the first row down; nearly always one

struct LayerForms {
    ProductForm qkv, o, gate_up, down;
    ProductForm q_b;                                     // of latent attention, behind qkv
    ProductForm experts_gate, experts_up, experts_down;  // of one expert, where all are codes; or empty
};

struct ModelForms {
    std::vector<LayerForms> layers;
    ProductForm lm_head;
    i64 weight_bytes = 0;              // of all parameters, on the device
    std::vector<std::string> formats;  // that products are multiplied in: "int4", "bf16"
    std::vector<std::string> notes;    // which quantised weights are multiplied as numbers, and why
    KvFormat kv_format = KvFormat::same;
    std::string kv_note;  // of scales that are not there, or a declared format that is not used; or empty
    bool coded_inputs = false;  // products multiply inputs as codes, as far as they can
    std::string
        activations_reason;  // why they do, or do not; empty: the checkpoint does not say that they are
};

// Gives products the form of the tensors that find_parameters found; where it did not look, of what the
// config says of the layer. Layers are multiplied as numbers that no kernel has a row for (groups of 16), or
// all of them with config.dequantise. With config.coded_inputs they are multiplied as the checkpoint declares
// where there is an operation for that. Neighbours in one form stay one product; others become parts of it.
// Experts of a layer are products where all of them are codes that moe_experts takes, else tensors of
// numbers. Caller error: groups that do not divide a layer's columns; a scale of inputs that is missing,
// where it was asked for what is declared.
Result<std::vector<Parameter>> with_forms(const ModelConfig& config, std::vector<Parameter> parameters);

ModelForms forms_of(const ModelConfig& config, const std::vector<Parameter>& parameters);

// Of a weight with everything that belongs to it, on the device.
i64 weight_bytes(const WeightForm& form, i64 rows, i64 columns, DType dtype);
i64 weight_bytes(const Parameter& parameter, DType dtype);  // in its form; of experts, all of them
bool has_global_scale(const WeightForm& form);

// Of a model whose checkpoint nobody looks at: scales have their usual type, groups their usual order.
Result<ModelForms> expected_forms(const ModelConfig& config);

// The model as it would be with weights in another form: "bf16" and "f16" multiply numbers of that type,
// quantised layers included; a name of quantize_formats() as if `quantize` had written it; "": as it is.
Result<ModelConfig> with_format(ModelConfig config, const std::string& format);
std::vector<std::string> weight_format_names();  // all that with_format takes

// The model with keys and values in this format: a name of KvFormat; the name of the model's own type, which
// is "same"; "fp8", which is e4m3; "auto" or "": as the checkpoint declares, or else in the model's type.
Result<ModelConfig> with_kv_format(ModelConfig config, std::string_view format);
// "bf16", "fp8_e4m3": of 16 bits the model's type.
const char* kv_type_name(const ModelConfig& config, KvFormat format);

}  // namespace warpwright
