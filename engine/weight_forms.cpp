// SPDX-License-Identifier: Apache-2.0
#include "engine/weight_forms.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "dispatch/nearest.h"
#include "engine/formats/kv_scales.h"
#include "engine/formats/layer_format.h"
#include "engine/parameters.h"
#include "engine/quantize.h"
#include "kernels/quantized_gemm/layout.h"

namespace warpwright {
namespace {

using formats::Code;
using formats::Element;
using formats::ScaleCode;
using formats::StoredWeight;

constexpr i64 kSmallestGroup = 32;

// What decides how one piece of a product can be multiplied.
struct PieceFacts {
    bool quantized = false;
    Code code = Code::u4;
    ScaleCode scale_code = ScaleCode::none;
    DType scale = DType::f16;  // of scales that have no code
    i64 columns = 0, group_columns = 0;
    bool zeros = false, order = false;
    const StoredWeight* stored = nullptr;  // where the checkpoint is known
};

DType scale_type(Element element) {
    switch (element) {
        case Element::f16: return DType::f16;
        case Element::f32: return DType::f32;
        default: return DType::bf16;  // which holds every e8m0
    }
}

PieceFacts facts_of_stored(const StoredWeight& weight) {
    return {.quantized = true,
            .code = weight.code,
            .scale_code = weight.scale_code,
            .scale = scale_type(weight.scales.element),
            .columns = weight.columns,
            .group_columns = weight.group_columns,
            .zeros = static_cast<bool>(weight.zeros),
            .order = !weight.column_group.empty(),
            .stored = &weight};
}

// As the formats' packages write them.
PieceFacts facts_of_config(const LayerFormat& format, DType dtype, i64 columns) {
    PieceFacts facts{.quantized = true,
                     .code = format.code,
                     .columns = columns,
                     .group_columns = format.group_columns == 0 ? columns : format.group_columns,
                     .zeros = !format.symmetric,
                     .order = format.act_order};
    switch (format.stored) {
        case StoredFormat::gptq:
        case StoredFormat::awq_gemm:
        case StoredFormat::awq_gemv: break;
        case StoredFormat::packed_int:
        case StoredFormat::bytes:
        case StoredFormat::torchao_int: facts.scale = dtype; break;
        case StoredFormat::fp8_blocks:
        case StoredFormat::modelopt_fp8:
        case StoredFormat::modelopt_fp8_blocks:
        case StoredFormat::modelopt_int8:
        case StoredFormat::modelopt_int4:
        case StoredFormat::torchao_fp8: facts.scale = DType::f32; break;
        case StoredFormat::nvfp4:
        case StoredFormat::modelopt_nvfp4: facts.scale_code = ScaleCode::e4m3; break;
        case StoredFormat::mxfp4:
        case StoredFormat::modelopt_mxfp4:
        case StoredFormat::gpt_oss_mxfp4: facts.scale_code = ScaleCode::e8m0; break;
        case StoredFormat::mxfp8:
        case StoredFormat::modelopt_mxfp8:
            facts.scale_code = ScaleCode::e8m0;
            facts.scale = DType::bf16;
            break;
    }
    return facts;
}

// The format whose kernels multiply by these codes; none of e5m2.
std::optional<WeightFormat> format_of(const PieceFacts& piece) {
    switch (piece.code) {
        case Code::u2:
        case Code::u3:
        case Code::u4: return WeightFormat::int4;
        case Code::u8:
        case Code::i8: return WeightFormat::int8;
        case Code::e4m3: return WeightFormat::fp8_e4m3;
        case Code::e2m1:
            if (piece.scale_code == ScaleCode::e8m0) return WeightFormat::mxfp4;
            if (piece.scale_code == ScaleCode::e4m3) return WeightFormat::nvfp4;
            return {};
        case Code::e5m2: return {};
    }
    return {};
}

// Columns that can share a scale in a kernel: a group's largest part that is a power of two and divides the
// row. Scales are repeated where it is not the whole group.
i64 kernel_group(i64 group, i64 columns) {
    if (group >= columns) return 0;
    const i64 common = group | columns;
    return common & -common;
}

bool groups_are_equal(const StoredWeight& weight) {
    std::vector<i64> members(static_cast<std::size_t>(weight.column_groups()));
    for (const i32 group : weight.column_group) ++members[static_cast<std::size_t>(group)];
    return std::adjacent_find(members.begin(), members.end(), std::not_equal_to<>()) == members.end();
}

struct PieceForm {
    WeightForm form;
    std::string converted;  // why a quantised piece is numbers
};

PieceForm form_of(const PieceFacts& piece) {
    const auto numbers = [](std::string why) { return PieceForm{{}, std::move(why)}; };
    if (!piece.quantized) return {};
    const std::optional<WeightFormat> format = format_of(piece);
    if (!format) return numbers(fmt::format("no kernel multiplies by {}", facts_of(piece.code).name));
    const WeightFormatFacts facts = facts_of(*format);
    WeightForm form{.packed = true, .format = *format, .zeros = piece.zeros};
    if (facts.group != 0) {
        if (piece.group_columns != facts.group) {
            return numbers(fmt::format("{} in groups of {}", facts.name, piece.group_columns));
        }
        form.group = facts.group;
        form.scale = DType::u8;
        return {form, {}};
    }
    form.group = kernel_group(piece.group_columns, piece.columns);
    form.scale = piece.scale;
    form.order = piece.order && form.group != 0;
    if (form.group != 0 && form.group < kSmallestGroup) {
        return numbers(
            fmt::format("groups of {}: kernels take powers of two from 32 on", piece.group_columns));
    }
    if (form.group == kSmallestGroup && form.scale == DType::f32) {
        return numbers("fp32 scales of groups of 32");
    }
    if (form.order && form.group != piece.group_columns) {
        return numbers(fmt::format("act-order in groups of {}", piece.group_columns));
    }
    if (piece.stored != nullptr && form.order && !groups_are_equal(*piece.stored)) {
        return numbers("act-order with groups of different sizes");
    }
    return {form, {}};
}

// Whether rows of both are one weight to a kernel.
bool fit_together(const PieceFacts& a, const WeightForm& form_a, const PieceFacts& b,
                  const WeightForm& form_b) {
    if (form_a != form_b) return false;
    if (!form_a.packed) return true;
    if (a.code != b.code || (a.stored == nullptr) != (b.stored == nullptr)) return false;
    if (a.stored == nullptr) return true;
    return a.stored->global_scale == b.stored->global_scale &&
           a.stored->column_group == b.stored->column_group;
}

// "q_proj" of "model.layers.0.self_attn.q_proj.weight".
std::string last_name(const std::string& tensor) {
    const std::size_t end = tensor.rfind('.');
    const std::size_t begin = tensor.rfind('.', end - 1) + 1;
    return tensor.substr(begin, end - begin);
}

class Former {
public:
    explicit Former(const ModelConfig& config) : config_(config) {}

    // The product in parts of one form each.
    Result<std::vector<Parameter>> parts_of(const Parameter& product) const {
        std::vector<Parameter> parts;
        PieceFacts before;
        for (const ParameterPiece& piece : product.pieces) {
            WW_ASSIGN(const PieceFacts facts, facts_of_piece(piece));
            const PieceForm form = config_.dequantise && facts.quantized ? PieceForm{} : form_of(facts);
            if (parts.empty() || !fit_together(before, parts.back().form, facts, form.form)) {
                Parameter& part = parts.emplace_back(product);
                part.part = parts.size() - 1;
                part.first_row = piece.first_row;
                part.shape[0] = 0;
                part.name = last_name(piece.name);
                part.form = form.form;
                part.pieces.clear();
            } else {
                parts.back().name += "+" + last_name(piece.name);
            }
            Parameter& part = parts.back();
            if (part.converted.empty()) part.converted = form.converted;
            part.pieces.push_back(piece);
            part.pieces.back().first_row -= part.first_row;
            part.shape[0] += piece.shape[0];
            before = facts;
        }
        if (parts.size() == 1) parts[0].name = product.name;
        return parts;
    }

private:
    Result<PieceFacts> facts_of_piece(const ParameterPiece& piece) const {
        if (piece.quantized) return facts_of_stored(*piece.quantized);
        WW_ASSIGN(const LayerFormat* format, format_of_piece(config_, piece));
        if (format == nullptr) return PieceFacts{};
        const PieceFacts facts = facts_of_config(*format, config_.dtype, piece.shape[1]);
        if (format->group_rows == 1 && facts.columns % facts.group_columns != 0) {
            return caller_error(fmt::format("{}: {}: groups of {} do not divide the {} columns", piece.name,
                                            describe_format(*format), facts.group_columns, facts.columns));
        }
        return facts;
    }

    const ModelConfig& config_;
};

i64 bytes_of(const ModelConfig& config, const Parameter& parameter) {
    return parameter.form.packed ? packed_bytes(parameter.form, parameter.shape[0], parameter.shape[1])
                                 : parameter.num_elements() * dtype_bytes(config.dtype);
}

void add_once(const char* name, std::vector<std::string>& names) {
    if (std::ranges::find(names, name) == names.end()) names.emplace_back(name);
}

ProductForm& product_in(ModelForms& forms, const Parameter& parameter) {
    if (parameter.layer < 0) return forms.lm_head;
    LayerForms& layer = forms.layers[static_cast<std::size_t>(parameter.layer)];
    if (parameter.layer_product == &LayerWeights::qkv) return layer.qkv;
    if (parameter.layer_product == &LayerWeights::o) return layer.o;
    return parameter.layer_product == &LayerWeights::gate_up ? layer.gate_up : layer.down;
}

}  // namespace

i64 packed_bytes(const WeightForm& form, i64 rows, i64 columns) {
    const i64 scales = packed_scales(rows, columns, form.group);
    return packed_data_bytes(form.format, rows, columns) +
           scales * (dtype_bytes(form.scale) + (form.zeros ? 1 : 0)) + (form.order ? 4 * columns : 0);
}

Result<std::vector<Parameter>> with_forms(const ModelConfig& config, std::vector<Parameter> parameters) {
    const Former former(config);
    std::vector<Parameter> formed;
    for (Parameter& parameter : parameters) {
        if (!parameter.is_product()) {
            formed.push_back(std::move(parameter));
            continue;
        }
        WW_ASSIGN(std::vector<Parameter> parts, former.parts_of(parameter));
        std::move(parts.begin(), parts.end(), std::back_inserter(formed));
    }
    return formed;
}

ModelForms forms_of(const ModelConfig& config, const std::vector<Parameter>& parameters) {
    ModelForms forms{.kv_format = declared_kv_format(config), .kv_note = declared_kv_note(config)};
    forms.layers.resize(static_cast<std::size_t>(config.num_layers));
    struct Converted {
        int count = 0;
        std::string first;
    };
    std::map<std::string, Converted> converted;  // by reason
    for (const Parameter& parameter : parameters) {
        forms.weight_bytes += bytes_of(config, parameter);
        if (!parameter.is_product()) continue;
        product_in(forms, parameter).push_back({parameter.name, parameter.shape[0], parameter.form});
        add_once(parameter.form.packed ? facts_of(parameter.form.format).name : dtype_name(config.dtype),
                 forms.formats);
        if (parameter.converted.empty()) continue;
        Converted& those = converted[parameter.converted];
        if (those.count++ == 0) those.first = parameter.pieces[0].name;
    }
    if (config.tie_word_embeddings) {
        forms.lm_head = {{"lm_head", config.vocab_size, {}}};
        add_once(dtype_name(config.dtype), forms.formats);
    }
    for (const auto& [why, those] : converted) {
        forms.notes.push_back(fmt::format("{} quantised weights are converted to {}: {} (the first: {})",
                                          those.count, dtype_name(config.dtype), why, those.first));
    }
    return forms;
}

Result<ModelForms> expected_forms(const ModelConfig& config) {
    WW_ASSIGN(const std::vector<Parameter> parameters, with_forms(config, list_parameters(config)));
    return forms_of(config, parameters);
}

std::vector<std::string> weight_format_names() {
    std::vector<std::string> names{dtype_name(DType::bf16), dtype_name(DType::f16)};
    for (const QuantizeFormat& format : quantize_formats()) names.emplace_back(format.name);
    return names;
}

Result<ModelConfig> with_format(ModelConfig config, const std::string& format) {
    if (format.empty()) return config;
    for (const DType dtype : {DType::bf16, DType::f16}) {
        if (format != dtype_name(dtype)) continue;
        config.dtype = dtype;
        config.dequantise = true;
        return config;
    }
    const std::vector<std::string> names = weight_format_names();
    if (std::find(names.begin(), names.end(), format) == names.end()) {
        return caller_error(fmt::format("format: expected {}, got '{:.40}'; nearest: {}",
                                        fmt::join(names, ", "), format, nearest(format, names)));
    }
    WW_ASSIGN(const QuantizeFormat recipe, find_quantize_format(format));
    WW_ASSIGN(QuantizationConfig read,
              QuantizationConfig::parse(quantization_config_of(recipe, {"lm_head"}), "--format " + format));
    config.quantization = std::make_shared<const QuantizationConfig>(std::move(read));
    config.dequantise = false;
    return config;
}

Result<ModelConfig> with_kv_format(ModelConfig config, std::string_view format) {
    if (format.empty() || format == "auto") {
        config.kv_format.reset();
        return config;
    }
    if (format == "fp8") format = kv_format_name(KvFormat::fp8_e4m3);  // as other engines have it
    for (int i = 0; i < kNumKvFormats; ++i) {
        const auto known = static_cast<KvFormat>(i);
        if (format != kv_format_name(known) && format != kv_type_name(config, known)) continue;
        config.kv_format = known;
        return config;
    }
    std::vector<std::string> names{"auto", dtype_name(config.dtype)};
    for (int i = 0; i < kNumKvFormats; ++i) names.emplace_back(kv_format_name(static_cast<KvFormat>(i)));
    return caller_error(fmt::format("kv_format: expected {}, got '{:.40}'; nearest: {}",
                                    fmt::join(names, ", "), format, nearest(format, names)));
}

const char* kv_type_name(const ModelConfig& config, KvFormat format) {
    return format == KvFormat::same ? dtype_name(config.dtype) : kv_format_name(format);
}

}  // namespace warpwright
