// SPDX-License-Identifier: Apache-2.0
#include "engine/coded_inputs.h"

#include <algorithm>

#include "kernels/legality.h"

namespace warpwright {
namespace {

constexpr i64 kAlignment = 16;

CodeType code_of(const WeightForm& form) {
    return form.format == WeightFormat::int8 ? CodeType::i8 : CodeType::e4m3;
}

}  // namespace

QuantizeFormat input_format(const WeightForm& form) {
    if (form.group == kFp8Groups.group_columns) return kFp8Groups;
    if (form.group == kMxfp8.group_columns) return kMxfp8;
    return {code_of(form), ScaleType::f32, form.given_scale ? 0 : 1, 0};
}

QuantizeFormat weight_format(const WeightForm& form) {
    if (form.group == kFp8Blocks.group_columns) return kFp8Blocks;
    if (form.group == kMxfp8.group_columns) return kMxfp8;
    return {code_of(form), ScaleType::f32, 1, 0};
}

CodedRows coded_rows(const formats::QuantizedMatrix& rows, const WeightForm& form) {
    CodedRows coded{.codes = rows.codes, .scales = {}};
    const auto append = [&](const void* values, i64 bytes) {
        const auto* first = static_cast<const std::byte*>(values);
        coded.scales.insert(coded.scales.end(), first, first + bytes);
    };
    const i64 groups = rows.column_groups(), of_rows = weight_format(form).group_rows;
    for (i64 row = 0; row < rows.rows; row += of_rows) {
        const i64 first = row / rows.group_rows * groups;
        if (form.scale == DType::u8) {
            append(&rows.scale_codes[static_cast<std::size_t>(first)], groups);
        } else {
            append(&rows.scales[static_cast<std::size_t>(first)], groups * 4);
        }
    }
    return coded;
}

CodedLayout coded_layout(const WeightForm& form, i64 rows, i64 columns) {
    const QuantizeFormat format = weight_format(form);
    CodedLayout layout{
        .scale_rows = ceil_div(rows, format.group_rows),
        .scale_columns = format.group_columns == 0 ? 1 : ceil_div(columns, format.group_columns)};
    layout.scales = round_up(rows * columns, kAlignment);
    layout.input_scale = round_up(
        layout.scales + layout.scale_rows * layout.scale_columns * dtype_bytes(form.scale), kAlignment);
    layout.end = layout.input_scale + (form.given_scale ? kAlignment : 0);
    return layout;
}

i64 input_scale_bytes(const WeightForm& form, i64 columns) {
    if (form.given_scale) return 0;
    const QuantizeFormat format = input_format(form);
    const i64 groups = format.group_columns == 0 ? 1 : ceil_div(columns, format.group_columns);
    return groups * dtype_bytes(form.scale);
}

CodedInputBytes coded_input_bytes(const ModelConfig& config, const ModelForms& forms) {
    CodedInputBytes most;
    const auto add = [&most](const ProductForm& product, i64 columns) {
        for (const PartForm& part : product) {
            if (!part.form.coded) continue;
            most.codes = std::max(most.codes, columns);
            most.scales = std::max(most.scales, input_scale_bytes(part.form, columns));
        }
    };
    for (std::size_t i = 0; i < forms.layers.size(); ++i) {
        const LayerForms& layer = forms.layers[i];
        add(layer.qkv, config.hidden_size);
        add(layer.q_b, config.latent.q_rank);
        add(layer.o, config.attended_width());
        add(layer.gate_up, config.hidden_size);
        add(layer.down, config.mlp_width(static_cast<int>(i)));
    }
    add(forms.lm_head, config.hidden_size);
    return most;
}

}  // namespace warpwright
