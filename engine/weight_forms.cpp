// SPDX-License-Identifier: Apache-2.0
#include "engine/weight_forms.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "dispatch/nearest.h"
#include "engine/coded_inputs.h"
#include "engine/formats/kv_scales.h"
#include "engine/formats/layer_format.h"
#include "engine/parameters.h"
#include "engine/quantize.h"
#include "kernels/quantized_gemm/layout.h"
#include "kernels/scaled_gemm/problem.h"

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
    i64 group_rows = 1;
    InputFormat inputs{};
    std::optional<float> input_scale;
    i64 first_row = 0;  // in the part of the product that it would belong to
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
            .stored = &weight,
            .group_rows = weight.group_rows};
}

// As the formats' packages write them.
PieceFacts facts_of_config(const LayerFormat& format, DType dtype, i64 columns) {
    PieceFacts facts{.quantized = true,
                     .code = format.code,
                     .columns = columns,
                     .group_columns = format.group_columns == 0 ? columns : format.group_columns,
                     .zeros = !format.symmetric,
                     .order = format.act_order,
                     .group_rows = format.group_rows};
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
    std::string converted{};  // why a quantised piece is numbers
    std::string not_coded{};  // why its inputs are numbers although they are declared to be codes
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

struct CodedForm {
    std::optional<WeightForm> form;
    std::string why_not;  // where inputs are declared to be codes
};

// The form that multiplies inputs as they are declared, where scaled_gemm does.
CodedForm coded_form_of(const PieceFacts& piece) {
    using Scales = InputFormat::Scales;
    const InputFormat& inputs = piece.inputs;
    if (inputs.bits == 16) return {};
    const auto none = [](std::string why) { return CodedForm{{}, std::move(why)}; };
    const bool is_float = piece.code == Code::e4m3;
    if (inputs.bits != 8 || (!is_float && piece.code != Code::i8) || inputs.is_float != is_float) {
        return none(
            fmt::format("no row multiplies {} by {}", facts_of(piece.code).name, describe_inputs(inputs)));
    }
    if (!inputs.symmetric || piece.zeros || piece.order) {
        return none(fmt::format("no row multiplies {}{} by {}", facts_of(piece.code).name,
                                piece.zeros ? " with zero points" : "", describe_inputs(inputs)));
    }
    WeightForm form{
        .format = is_float ? WeightFormat::fp8_e4m3 : WeightFormat::int8, .scale = DType::f32, .coded = true};
    const bool whole_rows = piece.group_columns >= piece.columns && piece.scale_code == ScaleCode::none;
    if (inputs.scales == Scales::token || inputs.scales == Scales::tensor) {
        if (!whole_rows || (!is_float && piece.columns >= kLargestIntegerK)) {
            return none(fmt::format("weights in groups of {} by inputs of {}", piece.group_columns,
                                    describe_inputs(inputs)));
        }
        form.given_scale = inputs.is_static;
        if (form.given_scale && piece.stored != nullptr && !piece.input_scale)
            return none("there is no tensor input_scale");
        return {form, {}};
    }
    const bool is_group = inputs.scales == Scales::group && !inputs.is_static;
    if (is_group && inputs.group_columns == 128 && piece.group_rows == 128 && piece.group_columns == 128) {
        form.group = 128;
        return {form, {}};
    }
    if (is_group && inputs.group_columns == 32 && piece.group_columns == 32 &&
        piece.scale_code == ScaleCode::e8m0) {
        form.group = 32;
        form.scale = DType::u8;
        return {form, {}};
    }
    return none(fmt::format("weights in groups of {} x {} by inputs of {}", piece.group_rows,
                            piece.group_columns, describe_inputs(inputs)));
}

// Whether rows of both are one weight to a kernel.
bool fit_together(const PieceFacts& a, const WeightForm& form_a, const PieceFacts& b,
                  const WeightForm& form_b) {
    if (form_a != form_b) return false;
    // Scales of 128 rows begin with the part's.
    if (form_a.coded)
        return a.input_scale == b.input_scale &&
               (form_a.group != kCodedRows || b.first_row % kCodedRows == 0);
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
            WW_ASSIGN(PieceFacts facts, facts_of_piece(piece));
            WW_ASSIGN(const PieceForm form, form_of_piece(piece, facts));
            if (!parts.empty()) facts.first_row = piece.first_row - parts.back().first_row;
            if (parts.empty() || !fit_together(before, parts.back().form, facts, form.form)) {
                Parameter& part = parts.emplace_back(product);
                part.part = parts.size() - 1;
                part.first_row = piece.first_row;
                part.shape[0] = 0;
                part.name = last_name(piece.name);
                part.form = form.form;
                part.input_scale = facts.input_scale.value_or(0);
                part.pieces.clear();
            } else {
                parts.back().name += "+" + last_name(piece.name);
            }
            Parameter& part = parts.back();
            if (part.converted.empty()) part.converted = form.converted;
            if (part.not_coded.empty()) part.not_coded = form.not_coded;
            part.pieces.push_back(piece);
            part.pieces.back().first_row -= part.first_row;
            part.shape[0] += piece.shape[0];
            before = facts;
        }
        if (parts.size() == 1) parts[0].name = product.name;
        number_inputs(parts);
        return parts;
    }

    // The experts of a layer as three products of codes, gate's rows and up's apart; or as they came, as
    // numbers.
    Result<std::vector<Parameter>> experts_of(Parameter gate_up, Parameter down) const {
        std::vector<Parameter> products{
            {.layer = down.layer, .layer_product = &LayerWeights::experts_gate, .name = "experts.gate_proj"},
            {.layer = down.layer, .layer_product = &LayerWeights::experts_up, .name = "experts.up_proj"},
            {.layer = down.layer, .layer_product = &LayerWeights::experts_down, .name = "experts.down_proj"}};
        for (std::size_t i = 0; i < gate_up.pieces.size(); ++i)
            add_expert(gate_up.pieces[i], products[i % 2]);
        for (const ParameterPiece& piece : down.pieces) add_expert(piece, products[2]);
        bool all_packed = true, any_quantized = false;
        std::string converted;
        for (Parameter& product : products) {
            WW_ASSIGN(const PieceForm form, form_of_experts(product, any_quantized));
            if (converted.empty()) converted = form.converted;
            all_packed = all_packed && form.form.packed;
            product.form = form.form;
            product.not_coded = form.not_coded;
        }
        if (all_packed) return products;
        if (any_quantized && converted.empty()) converted = "experts of a layer in different forms";
        gate_up.converted = down.converted = converted;
        return std::vector<Parameter>{std::move(gate_up), std::move(down)};
    }

    // Why a quantised weight that latent attention absorbs is numbers; empty of one that is stored so.
    Result<std::string> why_absorbed(const Parameter& parameter) const {
        WW_ASSIGN(const PieceFacts facts, facts_of_piece(parameter.pieces[0]));
        return facts.quantized && !config_.dequantise ? "absorbed into queries and outputs" : std::string();
    }

private:
    static void add_expert(const ParameterPiece& piece, Parameter& product) {
        if (product.pieces.empty()) product.shape = {0, piece.shape[1]};
        product.pieces.push_back(piece);
        product.pieces.back().first_row = product.shape[0];
        product.shape[0] += piece.shape[0];
        ++product.experts;
    }

    // The form that all have; numbers where they differ, or as a kernel takes none of them.
    Result<PieceForm> form_of_experts(const Parameter& product, bool& any_quantized) const {
        PieceForm first;
        Code code{};
        bool are_alike = true;
        for (const ParameterPiece& piece : product.pieces) {
            WW_ASSIGN(const PieceFacts facts, facts_of_piece(piece));
            if (!facts.quantized || config_.dequantise) {
                are_alike = are_alike && !first.form.packed;
                continue;
            }
            any_quantized = true;
            const PieceForm form = form_of(facts);
            if (!form.form.packed) return form;
            if (&piece == &product.pieces[0]) {
                first = form;
                code = facts.code;
                if (config_.coded_inputs && coded_form_of(facts).form)
                    first.not_coded = "experts multiply 16-bit inputs";
            }
            are_alike = are_alike && form.form == first.form && facts.code == code;
        }
        return are_alike ? first : PieceForm{};
    }

    // Parts with the same given scale have the same codes.
    static void number_inputs(std::vector<Parameter>& parts) {
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (!parts[i].form.given_scale) continue;
            std::size_t first = 0;
            while (!parts[first].form.given_scale || parts[first].input_scale != parts[i].input_scale)
                ++first;
            parts[i].form.input = static_cast<int>(first);
        }
    }

    Result<PieceForm> form_of_piece(const ParameterPiece& piece, const PieceFacts& facts) const {
        if (config_.dequantise && facts.quantized) return PieceForm{};
        if (!config_.coded_inputs || !facts.quantized) return form_of(facts);
        CodedForm coded = coded_form_of(facts);
        if (coded.form) return PieceForm{*coded.form, {}, {}};
        const bool lacks_scale = facts.inputs.is_static && facts.stored != nullptr && !facts.input_scale;
        if (config_.activations == Activations::declared && lacks_scale) {
            return caller_error(fmt::format("{}: inputs are declared to be {}, but {} beside it", piece.name,
                                            describe_inputs(facts.inputs), coded.why_not));
        }
        PieceForm form = form_of(facts);
        form.not_coded = std::move(coded.why_not);
        return form;
    }

    Result<PieceFacts> facts_of_piece(const ParameterPiece& piece) const {
        WW_ASSIGN(const LayerFormat* format, format_of_piece(config_, piece));
        if (format == nullptr && !piece.quantized) return PieceFacts{};
        PieceFacts facts = piece.quantized ? facts_of_stored(*piece.quantized)
                                           : facts_of_config(*format, config_.dtype, piece.shape[1]);
        if (format != nullptr) facts.inputs = format->inputs;
        if (piece.input_scale) facts.input_scale = piece.input_scale->value;
        if (!piece.quantized && format->group_rows == 1 && facts.columns % facts.group_columns != 0) {
            return caller_error(fmt::format("{}: {}: groups of {} do not divide the {} columns", piece.name,
                                            describe_format(*format), facts.group_columns, facts.columns));
        }
        return facts;
    }

    const ModelConfig& config_;
};

void add_once(const std::string& name, std::vector<std::string>& names) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
}

// "int4", "bf16"; "int8 x int8" where inputs are codes, too.
std::string format_name(const WeightForm& form, DType dtype) {
    if (form.coded) return fmt::format("{0} x {0}", facts_of(form.format).name);
    return form.packed ? facts_of(form.format).name : dtype_name(dtype);
}

// Reasons, each with how many weights have it.
class Reasons {
public:
    void add(const std::string& why, const std::string& weight) {
        if (why.empty()) return;
        Those& those = those_[why];
        if (those.count++ == 0) those.first = weight;
    }
    template <class Text>
    void write(Text text, std::vector<std::string>& notes) const {
        for (const auto& [why, those] : those_) notes.push_back(text(those.count, why, those.first));
    }

private:
    struct Those {
        int count = 0;
        std::string first;
    };
    std::map<std::string, Those> those_;
};

ProductForm& product_in(ModelForms& forms, const Parameter& parameter) {
    if (parameter.layer < 0) return forms.lm_head;
    LayerForms& layer = forms.layers[static_cast<std::size_t>(parameter.layer)];
    if (parameter.layer_product == &LayerWeights::qkv) return layer.qkv;
    if (parameter.layer_product == &LayerWeights::q_b) return layer.q_b;
    if (parameter.layer_product == &LayerWeights::o) return layer.o;
    if (parameter.layer_product == &LayerWeights::experts_gate) return layer.experts_gate;
    if (parameter.layer_product == &LayerWeights::experts_up) return layer.experts_up;
    if (parameter.layer_product == &LayerWeights::experts_down) return layer.experts_down;
    return parameter.layer_product == &LayerWeights::gate_up ? layer.gate_up : layer.down;
}

// Of a layer's keys of latent attention, which are there twice (LayerWeights::absorbed_keys).
i64 absorbed_key_bytes(const ModelConfig& config) {
    const LatentConfig& latent = config.latent;
    return i64{config.num_heads} * latent.nope_dim * latent.kv_rank * dtype_bytes(config.dtype);
}

}  // namespace

bool has_global_scale(const WeightForm& form) {
    return form.packed && form.format == WeightFormat::nvfp4;
}

i64 weight_bytes(const WeightForm& form, i64 rows, i64 columns, DType dtype) {
    if (form.coded) return coded_layout(form, rows, columns).end;
    if (!form.packed) return rows * columns * dtype_bytes(dtype);
    const i64 scales = packed_scales(rows, columns, form.group);
    return packed_data_bytes(form.format, rows, columns) +
           scales * (dtype_bytes(form.scale) + (form.zeros ? 1 : 0)) + (form.order ? 4 * columns : 0);
}

i64 weight_bytes(const Parameter& parameter, DType dtype) {
    if (!parameter.is_product())
        return parameter.num_elements() * dtype_bytes(parameter.is_f32 ? DType::f32 : dtype);
    const WeightForm& form = parameter.form;
    const i64 weights = std::max<i64>(1, parameter.experts);
    const i64 global_scale = parameter.experts > 0 && has_global_scale(form) ? sizeof(float) : 0;
    return weights *
           (weight_bytes(form, parameter.shape[0] / weights, parameter.shape[1], dtype) + global_scale);
}

Result<std::vector<Parameter>> with_forms(const ModelConfig& config, std::vector<Parameter> parameters) {
    const Former former(config);
    std::vector<Parameter> formed;
    const auto append = [&formed](std::vector<Parameter> parts) {
        std::move(parts.begin(), parts.end(), std::back_inserter(formed));
    };
    Parameter* gate_up = nullptr;  // of experts, until their down comes
    for (Parameter& parameter : parameters) {
        if (parameter.is_product()) {
            WW_ASSIGN(std::vector<Parameter> parts, former.parts_of(parameter));
            append(std::move(parts));
        } else if (parameter.layer_tensor == &LayerWeights::expert_gate_up) {
            gate_up = &parameter;
        } else if (parameter.layer_tensor == &LayerWeights::expert_down) {
            WW_ASSIGN(std::vector<Parameter> products,
                      former.experts_of(std::move(*gate_up), std::move(parameter)));
            append(std::move(products));
        } else {
            if (parameter.layer_tensor == &LayerWeights::kv_b) {
                WW_ASSIGN(parameter.converted, former.why_absorbed(parameter));
            }
            formed.push_back(std::move(parameter));
        }
    }
    return formed;
}

ModelForms forms_of(const ModelConfig& config, const std::vector<Parameter>& parameters) {
    ModelForms forms{.kv_format = declared_kv_format(config), .kv_note = declared_kv_note(config)};
    forms.layers.resize(static_cast<std::size_t>(config.num_layers));
    forms.coded_inputs = config.coded_inputs;
    forms.activations_reason = config.activations_reason;
    Reasons converted, not_coded;
    for (const Parameter& parameter : parameters) {
        forms.weight_bytes += weight_bytes(parameter, config.dtype);
        converted.add(parameter.converted, parameter.pieces[0].name);
        const bool is_experts = parameter.layer_tensor == &LayerWeights::expert_down;  // as numbers
        if (parameter.is_product() || is_experts)
            add_once(format_name(parameter.form, config.dtype), forms.formats);
        if (!parameter.is_product()) continue;
        const i64 rows = parameter.shape[0] / std::max<i64>(1, parameter.experts);
        product_in(forms, parameter).push_back({parameter.name, rows, parameter.form});
        not_coded.add(parameter.not_coded, parameter.pieces[0].name);
    }
    forms.weight_bytes += config.num_layers * absorbed_key_bytes(config);
    if (config.tie_word_embeddings) {
        forms.lm_head = {{"lm_head", config.vocab_size, {}}};
        add_once(dtype_name(config.dtype), forms.formats);
    }
    converted.write(
        [&](int count, const std::string& why, const std::string& first) {
            return fmt::format("{} quantised weights are converted to {}: {} (the first: {})", count,
                               dtype_name(config.dtype), why, first);
        },
        forms.notes);
    not_coded.write(
        [](int count, const std::string& why, const std::string& first) {
            return fmt::format("the inputs of {} quantised weights stay in 16 bits: {} (the first: {})",
                               count, why, first);
        },
        forms.notes);
    return forms;
}

Result<ModelForms> expected_forms(const ModelConfig& config) {
    WW_ASSIGN(const std::vector<Parameter> parameters, with_forms(config, list_with_one_expert(config)));
    ModelForms forms = forms_of(config, parameters);
    for (const Parameter& parameter : parameters) {
        const i64 others = times_listed(config, parameter) - 1;
        forms.weight_bytes += others * weight_bytes(parameter, config.dtype);
    }
    return forms;
}

std::vector<std::string> weight_format_names() {
    std::vector<std::string> names{dtype_name(DType::bf16), dtype_name(DType::f16)};
    for (const CheckpointFormat& format : quantize_formats()) names.emplace_back(format.name);
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
    WW_ASSIGN(const CheckpointFormat recipe, find_quantize_format(format));
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
        if (config.is_latent() && known == KvFormat::fp8_e5m2) {
            return caller_error(fmt::format("kv_format: {} keeps latent rows, in {} or {}, got {}",
                                            config.architecture, dtype_name(config.dtype),
                                            kv_format_name(KvFormat::fp8_e4m3), format));
        }
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
