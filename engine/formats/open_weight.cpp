// SPDX-License-Identifier: Apache-2.0
#include "engine/formats/open_weight.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <numeric>

#include "engine/formats/plausibility.h"
#include "formats/bits.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

using formats::Element;
using formats::Packing;
using formats::StoredRows;
using formats::StoredWeight;

struct ElementName {
    std::string_view stored;  // as safetensors names it
    Element element;
};
constexpr ElementName kElements[] = {
    {"F32", Element::f32},      {"F16", Element::f16},      {"BF16", Element::bf16},
    {"F8_E4M3", Element::e4m3}, {"F8_E8M0", Element::e8m0}, {"I32", Element::i32},
    {"I64", Element::i64},      {"U8", Element::u8},        {"I8", Element::u8},
};

using Types = std::initializer_list<std::string_view>;
constexpr std::string_view kFloats[] = {"F32", "F16", "BF16"};

constexpr DType dtype_of(Element element) {  // of those three
    return element == Element::f32 ? DType::f32 : element == Element::f16 ? DType::f16 : DType::bf16;
}

class Opener {
public:
    Opener(const Safetensors& checkpoint, const std::string& layer, const LayerFormat& format, i64 rows,
           i64 columns)
        : checkpoint_(checkpoint), layer_(layer), format_(format) {
        weight_.name = layer;
        weight_.rows = rows;
        weight_.columns = columns;
        weight_.code = format.code;
        weight_.group_rows = format.group_rows == 0 ? rows : format.group_rows;
        weight_.group_columns = format.group_columns == 0 ? columns : format.group_columns;
        bits_ = facts_of(format.code).bits;
    }

    Result<StoredWeight> open() {
        WW_TRY(check_groups());
        if (has("pre_quant_scale")) {
            return caller_error(
                fmt::format("{}: tensor {}: expected none: inputs would be multiplied by it column by "
                            "column, which no row "
                            "does; modelopt's export folds it into the layer before where there is one",
                            checkpoint_.path(), full_name("pre_quant_scale")));
        }
        switch (format_.stored) {
            case StoredFormat::gptq: WW_TRY(gptq()); break;
            case StoredFormat::awq_gemm: WW_TRY(awq_gemm()); break;
            case StoredFormat::awq_gemv: WW_TRY(awq_gemv()); break;
            case StoredFormat::packed_int: WW_TRY(packed_int()); break;
            case StoredFormat::bytes: WW_TRY(bytes("weight", "weight_scale")); break;
            case StoredFormat::fp8_blocks: WW_TRY(bytes("weight", "weight_scale_inv")); break;
            case StoredFormat::modelopt_fp8: WW_TRY(bytes("weight", "weight_scale")); break;
            case StoredFormat::modelopt_fp8_blocks:
            case StoredFormat::modelopt_int8: WW_TRY(bytes("weight", "weight_scale")); break;
            case StoredFormat::modelopt_int4: WW_TRY(modelopt_int4()); break;
            case StoredFormat::modelopt_mxfp8: WW_TRY(mx("weight", Packing::bytes)); break;
            case StoredFormat::modelopt_mxfp4: WW_TRY(mx("weight", Packing::nibbles)); break;
            case StoredFormat::torchao_fp8: WW_TRY(bytes("_weight_qdata", "_weight_scale")); break;
            case StoredFormat::torchao_int: WW_TRY(torchao_int()); break;
            case StoredFormat::nvfp4: WW_TRY(nvfp4("weight_packed", "weight_global_scale", true)); break;
            case StoredFormat::modelopt_nvfp4: WW_TRY(nvfp4("weight", "weight_scale_2", false)); break;
            case StoredFormat::mxfp4: WW_TRY(mx("weight_packed", Packing::nibbles)); break;
            case StoredFormat::mxfp8: WW_TRY(mx("weight", Packing::bytes)); break;
            case StoredFormat::gpt_oss_mxfp4:
                return caller_error(
                    fmt::format("{}: mxfp4 holds stacked experts, not single layers", layer_));
        }
        WW_TRY(check_plausible(weight_, format_));
        if (format_.symmetric && weight_.zeros) WW_TRY(drop_usual_zeros());
        return std::move(weight_);
    }

private:
    Status check_groups() const {
        const i64 columns = weight_.columns, group = weight_.group_columns;
        // Blocks may be cut off at the edge; groups of one row are not.
        if (format_.group_rows == 1 && columns % group != 0) {
            return caller_error(fmt::format("{}: {}: groups of {} do not divide the {} columns", layer_,
                                            stored_format_name(format_.stored), group, columns));
        }
        return {};
    }

    std::string full_name(std::string_view suffix) const { return fmt::format("{}.{}", layer_, suffix); }
    bool has(std::string_view suffix) const { return checkpoint_.contains(full_name(suffix)); }

    // A tensor of one of these types and shapes, as `rows` x `columns`.
    Result<StoredRows> find(std::string_view suffix, std::span<const std::string_view> types,
                            const std::vector<std::vector<i64>>& shapes, i64 rows, i64 columns) {
        const std::string name = full_name(suffix);
        if (!checkpoint_.contains(name)) return missing(suffix);
        WW_ASSIGN(const StoredBytes stored, checkpoint_.find_any(name));
        const bool type_fits = std::find(types.begin(), types.end(), stored.type->name) != types.end();
        const bool shape_fits = std::find(shapes.begin(), shapes.end(), stored.shape) != shapes.end();
        if (!type_fits || !shape_fits) {
            return caller_error(fmt::format("{}: tensor {}: expected {} {} for {} of [{}, {}], got {} {}",
                                            stored.mapped->path(), name, fmt::join(types, " or "),
                                            fmt::join(shapes, " or "), describe_format(format_), weight_.rows,
                                            weight_.columns, stored.type->name, stored.shape));
        }
        const auto* element =
            std::find_if(std::begin(kElements), std::end(kElements),
                         [&](const ElementName& row) { return row.stored == stored.type->name; });
        weight_.tensors.push_back(name);
        return StoredRows{name, stored.mapped, stored.file_offset, element->element, rows, columns};
    }
    Result<StoredRows> find(std::string_view suffix, Types types, i64 rows, i64 columns) {
        return find(suffix, std::span(types.begin(), types.size()), {{rows, columns}}, rows, columns);
    }

    Status missing(std::string_view suffix) const {
        std::string text = fmt::format("{}: declared {}, but there is no tensor {}", checkpoint_.path(),
                                       describe_format(format_), full_name(suffix));
        if (const std::string found = format_found(checkpoint_, layer_); !found.empty()) {
            text += fmt::format("; found: {}", found);
        }
        return caller_error(text);
    }

    // One number.
    Result<float> scalar(std::string_view suffix) {
        WW_ASSIGN(const StoredRows rows, find(suffix, kOneFloat, {{}, {1}}, 1, 1));
        float value = 0;
        WW_TRY(rows.read(0, 1, 0, 1, reinterpret_cast<std::byte*>(&value)));
        if (!(value > 0) || !(value <= 3.4e38F)) {
            return caller_error(fmt::format("{}: tensor {}: expected a positive finite number, got {}",
                                            rows.file->path(), rows.name, value));
        }
        return value;
    }

    Status gptq() {
        const i64 n = weight_.rows, k = weight_.columns, groups = weight_.column_groups();
        if (n * bits_ % 32 != 0 || k * bits_ % 32 != 0) {
            return caller_error(fmt::format(
                "{}: gptq of {} bits: expected rows and columns that fill 32-bit words, got [{}, {}]", layer_,
                bits_, n, k));
        }
        weight_.packing = Packing::column_words;
        weight_.scales_by_column = true;
        weight_.zeros_minus_one = format_.zeros_minus_one;
        WW_ASSIGN(weight_.codes, find("qweight", {"I32"}, k * bits_ / 32, n));
        WW_ASSIGN(weight_.scales, find("scales", kFloats, {{groups, n}}, groups, n));
        WW_ASSIGN(weight_.zeros, find("qzeros", {"I32"}, groups, n * bits_ / 32));
        if (format_.act_order && !has("g_idx")) return missing("g_idx");
        return has("g_idx") ? group_order("g_idx") : Status{};
    }

    // Each column's group: the usual order is dropped.
    Status group_order(std::string_view suffix) {
        const i64 k = weight_.columns;
        WW_ASSIGN(const StoredRows stored, find(suffix, kIndex, {{k}}, 1, k));
        std::vector<i32> order(static_cast<std::size_t>(k));
        WW_TRY(stored.read(0, 1, 0, k, reinterpret_cast<std::byte*>(order.data())));
        bool usual = true;
        for (i64 i = 0; i < k; ++i) {
            const i32 group = order[static_cast<std::size_t>(i)];
            if (group < 0 || group >= weight_.column_groups()) {
                return caller_error(
                    fmt::format("{}: tensor {}: element {}: expected a group from 0 to {}, got {}",
                                stored.file->path(), stored.name, i, weight_.column_groups() - 1, group));
            }
            usual &= group == i / weight_.group_columns;
        }
        if (!usual) weight_.column_group = std::move(order);
        return {};
    }

    // GPTQ stores zero points of symmetric weights too: where each is the usual one they are dropped.
    Status drop_usual_zeros() {
        const StoredRows& stored = weight_.zeros;
        const int zero = facts_of(weight_.code).symmetric_zero - (weight_.zeros_minus_one ? 1 : 0);
        const std::vector<u8> codes(static_cast<std::size_t>(weight_.rows), static_cast<u8>(zero));
        std::vector<u32> usual(static_cast<std::size_t>(stored.columns)), row(usual.size());
        formats::pack_stream(codes.data(), weight_.rows, bits_, usual.data());
        for (i64 group = 0; group < stored.rows; ++group) {
            WW_TRY(stored.read(group, 1, 0, stored.columns, reinterpret_cast<std::byte*>(row.data())));
            if (row != usual) return {};
        }
        weight_.zeros = {};
        return {};
    }

    Status awq_gemm() {
        const i64 n = weight_.rows, k = weight_.columns, groups = weight_.column_groups();
        if (n % 8 != 0) {
            return caller_error(fmt::format("{}: awq gemm: expected rows in eights, got {}", layer_, n));
        }
        weight_.packing = weight_.zeros_packing = Packing::awq;
        weight_.scales_by_column = true;
        WW_ASSIGN(weight_.codes, find("qweight", {"I32"}, k, n / 8));
        WW_ASSIGN(weight_.scales, find("scales", kFloats, {{groups, n}}, groups, n));
        if (!format_.symmetric) {
            WW_ASSIGN(weight_.zeros, find("qzeros", {"I32"}, groups, n / 8));
        }
        return {};
    }

    Status awq_gemv() {
        const i64 n = weight_.rows, k = weight_.columns, groups = weight_.column_groups();
        // Rows of zero points are padded to 8, 16 or 32 bytes by the groups' size.
        const i64 unit = weight_.group_columns >= 128 ? 1 : weight_.group_columns == 64 ? 2 : 4;
        const i64 words = ((groups + 7) / 8 + unit - 1) / unit * unit;
        if (k % 8 != 0) {
            return caller_error(fmt::format("{}: awq gemv: expected columns in eights, got {}", layer_, k));
        }
        weight_.packing = Packing::row_words;
        WW_ASSIGN(weight_.codes, find("qweight", {"I32"}, n, k / 8));
        WW_ASSIGN(weight_.scales, find("scales", kFloats, {{n, words * 8}}, n, words * 8));
        if (!format_.symmetric) {
            WW_ASSIGN(weight_.zeros, find("qzeros", {"I32"}, n, words));
        }
        return {};
    }

    Status packed_int() {
        const i64 n = weight_.rows, k = weight_.columns, groups = weight_.column_groups();
        weight_.packing = Packing::row_words;
        WW_ASSIGN(weight_.codes, find("weight_packed", {"I32"}, n, formats::packed_words(k, bits_)));
        WW_TRY(floating_scales("weight_scale"));
        if (has("weight_shape")) WW_TRY(check_shape());
        if (!format_.symmetric) {
            weight_.zeros_packing = Packing::column_words;
            const i64 words = formats::packed_words(n, bits_);
            WW_ASSIGN(weight_.zeros, find("weight_zero_point", {"I32"}, words, groups));
        }
        return format_.act_order ? group_order("weight_g_idx") : Status{};
    }

    Status check_shape() {
        WW_ASSIGN(const StoredRows stored, find("weight_shape", kWideIndex, {{2}}, 1, 2));
        std::array<std::byte, 16> raw{};
        const auto bytes = static_cast<std::size_t>(2 * element_bytes(stored.element));
        WW_TRY(stored.read(0, 1, 0, 2, raw.data()));
        std::array<i64, 2> shape{};
        for (std::size_t i = 0; i < 2; ++i) std::memcpy(&shape[i], raw.data() + i * bytes / 2, bytes / 2);
        if (shape[0] == weight_.rows && shape[1] == weight_.columns) return {};
        return caller_error(fmt::format("{}: tensor {}: expected {}, {}, got {}, {}", stored.file->path(),
                                        stored.name, weight_.rows, weight_.columns, shape[0], shape[1]));
    }

    // Two's complement, two rows to a byte.
    Status modelopt_int4() {
        const i64 n = weight_.rows, k = weight_.columns;
        if (n % 2 != 0) {
            return caller_error(
                fmt::format("{}: modelopt awq: expected an even number of rows, got {}", layer_, n));
        }
        weight_.packing = Packing::row_pairs;
        weight_.codes_are_signed = true;
        WW_ASSIGN(weight_.codes, find("weight", {"U8"}, n / 2, k));
        WW_TRY(floating_scales("weight_scale"));
        // Of weights as e4m3 in the product: what they are is not changed by it.
        return has("weight_scale_2") ? scalar("weight_scale_2").status() : Status{};
    }

    // A byte for a code, whatever its bits. Symmetric ones have zero points too, of zeros.
    Status torchao_int() {
        const i64 groups = weight_.column_groups(), row_groups = weight_.row_groups();
        weight_.codes_are_signed = format_.code != formats::Code::i8;
        WW_ASSIGN(weight_.codes, find("_weight_qdata", {"I8"}, weight_.rows, weight_.columns));
        WW_TRY(floating_scales("_weight_scale"));
        if (format_.symmetric && !has("_weight_zero_point")) return {};
        weight_.zeros_packing = Packing::bytes;
        WW_ASSIGN(const StoredRows zeros, find("_weight_zero_point", {"I8"}, row_groups, groups));
        if (!format_.symmetric) {
            weight_.zeros = zeros;
            return {};
        }
        std::vector<std::byte> values(static_cast<std::size_t>(row_groups * groups));
        WW_TRY(zeros.read(0, row_groups, 0, groups, values.data()));
        const auto odd =
            std::find_if(values.begin(), values.end(), [](std::byte b) { return b != std::byte{}; });
        if (odd == values.end()) return {};
        return caller_error(
            fmt::format("{}: tensor {}: zero point [{}, {}]: expected 0 of a symmetric mapping, got {}",
                        zeros.file->path(), zeros.name, (odd - values.begin()) / groups,
                        (odd - values.begin()) % groups, static_cast<i8>(*odd)));
    }

    // One per group: [row groups, column groups], or without the dimensions that are 1; ModelOpt has
    // [row groups, 1, column groups, 1].
    Status floating_scales(std::string_view suffix) {
        const i64 r = weight_.row_groups(), c = weight_.column_groups();
        std::vector<std::vector<i64>> shapes{{r, c}};
        if (format_.stored == StoredFormat::modelopt_fp8_blocks) shapes.push_back({r, 1, c, 1});
        if (c == 1) shapes.push_back({r});
        if (r == 1 && c == 1) shapes.emplace_back();
        WW_ASSIGN(weight_.scales, find(suffix, kFloats, shapes, r, c));
        return {};
    }

    Status bytes(std::string_view codes, std::string_view scales) {
        const std::string_view type = format_.code == formats::Code::i8 ? "I8" : "F8_E4M3";
        WW_ASSIGN(weight_.codes, find(codes, {type}, weight_.rows, weight_.columns));
        // A checkpoint of fp8 blocks may leave out layers: they are plain, and found by their type.
        return floating_scales(scales);
    }

    Status nvfp4(std::string_view codes, std::string_view global, bool divides) {
        if (weight_.columns % 2 != 0) return odd_columns();
        weight_.packing = Packing::nibbles;
        weight_.scale_code = formats::ScaleCode::e4m3;
        weight_.global_divides = divides;
        WW_ASSIGN(weight_.codes, find(codes, {"U8"}, weight_.rows, weight_.columns / 2));
        WW_ASSIGN(weight_.scales, find("weight_scale", {"F8_E4M3"}, weight_.rows, weight_.column_groups()));
        WW_ASSIGN(weight_.global_scale, scalar(global));
        return {};
    }

    Status mx(std::string_view codes, Packing packing) {
        const bool packed = packing == Packing::nibbles;
        if (packed && weight_.columns % 2 != 0) return odd_columns();
        weight_.packing = packing;
        weight_.scale_code = formats::ScaleCode::e8m0;
        WW_ASSIGN(weight_.codes, packed ? find(codes, {"U8"}, weight_.rows, weight_.columns / 2)
                                        : find(codes, {"F8_E4M3"}, weight_.rows, weight_.columns));
        WW_ASSIGN(weight_.scales,
                  find("weight_scale", {"U8", "F8_E8M0"}, weight_.rows, weight_.column_groups()));
        return {};
    }

    Status odd_columns() const {
        return caller_error(fmt::format("{}: {}: expected an even number of columns, got {}", layer_,
                                        stored_format_name(format_.stored), weight_.columns));
    }

    static constexpr std::string_view kOneFloat[] = {"F32"};
    static constexpr std::string_view kIndex[] = {"I32"};
    static constexpr std::string_view kWideIndex[] = {"I64", "I32"};

    const Safetensors& checkpoint_;
    const std::string& layer_;
    const LayerFormat& format_;
    StoredWeight weight_;
    int bits_ = 0;
};

}  // namespace

Result<StoredWeight> open_weight(const Safetensors& checkpoint, const std::string& layer,
                                 const LayerFormat& format, i64 rows, i64 columns) {
    return Opener(checkpoint, layer, format, rows, columns).open();
}

Result<StoredWeight> open_gpt_oss_expert(const Safetensors& checkpoint, const std::string& name, i64 expert,
                                         i64 num_experts, i64 rows, i64 columns) {
    if (columns % 32 != 0) {
        return caller_error(
            fmt::format("{}: mxfp4: groups of 32 do not divide the {} columns", name, columns));
    }
    const auto part = [&](const std::string& tensor, std::vector<i64> shape,
                          i64 width) -> Result<StoredRows> {
        WW_ASSIGN(const StoredBytes stored, checkpoint.find_any(tensor));
        if (stored.type->name != "U8" || stored.shape != shape) {
            return caller_error(fmt::format("{}: tensor {}: expected U8 {}, got {} {}", stored.mapped->path(),
                                            tensor, shape, stored.type->name, stored.shape));
        }
        const u64 offset = stored.file_offset + static_cast<u64>(expert * rows * width);
        return StoredRows{tensor, stored.mapped, offset, Element::u8, rows, width};
    };
    StoredWeight weight{.name = name,
                        .rows = rows,
                        .columns = columns,
                        .code = formats::Code::e2m1,
                        .packing = Packing::nibbles,
                        .group_columns = 32,
                        .scale_code = formats::ScaleCode::e8m0,
                        .tensors = {name + "_blocks", name + "_scales"}};
    if (expert < 0 || expert >= num_experts) {
        return caller_error(
            fmt::format("{}: expected an expert from 0 to {}, got {}", name, num_experts - 1, expert));
    }
    WW_ASSIGN(weight.codes, part(weight.tensors[0], {num_experts, rows, columns / 32, 16}, columns / 2));
    WW_ASSIGN(weight.scales, part(weight.tensors[1], {num_experts, rows, columns / 32}, columns / 32));
    return weight;
}

Result<std::optional<InputScale>> open_input_scale(const Safetensors& checkpoint, const std::string& layer,
                                                   const LayerFormat& format) {
    std::optional<InputScale> found;
    const InputFormat& inputs = format.inputs;
    if (inputs.bits != 8 || !inputs.is_static || inputs.scales != InputFormat::Scales::tensor) return found;
    // compressed-tensors and ModelOpt; transformers' fp8.
    for (const char* suffix : {"input_scale", "activation_scale"}) {
        const std::string name = fmt::format("{}.{}", layer, suffix);
        if (!checkpoint.contains(name)) continue;
        WW_ASSIGN(const StoredBytes stored, checkpoint.find_any(name));
        const auto* element =
            std::find_if(std::begin(kElements), std::end(kElements),
                         [&](const ElementName& row) { return row.stored == stored.type->name; });
        const bool is_float =
            std::find(std::begin(kFloats), std::end(kFloats), stored.type->name) != std::end(kFloats);
        const i64 count =
            std::accumulate(stored.shape.begin(), stored.shape.end(), i64{1}, std::multiplies<>());
        if (!is_float || count != 1) {
            return caller_error(
                fmt::format("{}: tensor {}: expected {} of one element for inputs as {}, got {} {}",
                            stored.mapped->path(), name, fmt::join(kFloats, " or "), describe_inputs(inputs),
                            stored.type->name, stored.shape));
        }
        const StoredRows rows{name, stored.mapped, stored.file_offset, element->element, 1, 1};
        std::array<std::byte, 4> raw{};
        WW_TRY(rows.read(0, 1, 0, 1, raw.data()));
        const float value = load_float(raw.data(), dtype_of(element->element), 0);
        if (!(value > 0) || !std::isfinite(value)) {
            return caller_error(fmt::format("{}: tensor {}: expected a positive finite number, got {}",
                                            stored.mapped->path(), name, value));
        }
        found = InputScale{name, value};
        return found;
    }
    return found;
}

std::string format_found(const Safetensors& checkpoint, const std::string& layer) {
    struct Sign {
        const char* suffix;
        const char* text;
    };
    constexpr Sign kSigns[] = {
        {"qweight", "gptq or awq (qweight)"},
        {"weight_global_scale", "compressed-tensors nvfp4 (weight_global_scale)"},
        {"weight_packed", "compressed-tensors (weight_packed)"},
        {"weight_scale_2", "modelopt nvfp4 (weight_scale_2)"},
        {"weight_scale_inv", "fp8 blocks (weight_scale_inv)"},
        {"weight_scale", "compressed-tensors or modelopt (weight_scale)"},
        {"_weight_qdata", "torchao (_weight_qdata)"},
        {"weight", "a weight that is not quantised"},
    };
    for (const Sign& sign : kSigns) {
        if (checkpoint.contains(fmt::format("{}.{}", layer, sign.suffix))) return sign.text;
    }
    return {};
}

bool is_beside_weights(std::string_view tensor) {
    constexpr std::string_view kSuffixes[] = {
        ".input_scale", ".input_global_scale", ".input_zero_point", ".k_scale",
        ".v_scale",     ".kv_scale",           ".q_scale",          ".output_scale",
        ".prob_scale",  ".activation_scale"};
    return std::any_of(std::begin(kSuffixes), std::end(kSuffixes),
                       [&](std::string_view suffix) { return tensor.ends_with(suffix); });
}

}  // namespace warpwright
