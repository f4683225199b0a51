// SPDX-License-Identifier: Apache-2.0
#include "engine/packed_rows.h"

#include <fmt/format.h>

#include "kernels/host_math.h"

namespace warpwright {
namespace {

using formats::QuantizedMatrix;

// [rows, groups] with an entry for each `columns` columns in place of each group.
template <class Value>
std::vector<Value> repeated(const std::vector<Value>& values, const QuantizedMatrix& m, i64 columns) {
    std::vector<Value> out;
    const i64 groups = m.column_groups();
    for (i64 row = 0; row < m.row_groups(); ++row) {
        for (i64 column = 0; column < m.columns; column += columns) {
            out.push_back(values[static_cast<std::size_t>(row * groups + column / m.group_columns)]);
        }
    }
    return out;
}

void use_groups_of(i64 columns, QuantizedMatrix& m) {
    m.scales = repeated(m.scales, m, columns);
    if (!m.zeros.empty()) m.zeros = repeated(m.zeros, m, columns);
    m.group_columns = columns;
}

// pack_weight takes the smallest type that holds the scales of its block; blocks of one weight must agree.
Status use_scale_type(DType type, PackedWeight& packed) {
    if (packed.scale_type == type) return {};
    const auto count = static_cast<i64>(packed.scales.size()) / dtype_bytes(packed.scale_type);
    std::vector<std::byte> scales(static_cast<std::size_t>(count * dtype_bytes(type)));
    for (i64 i = 0; i < count; ++i) {
        const float scale = load_float(packed.scales.data(), packed.scale_type, i);
        if (round_to(type, scale) != scale) {
            return caller_error(fmt::format("scale {} is no {}", scale, dtype_name(type)));
        }
        store_float(scales.data(), type, i, scale);
    }
    packed.scales = std::move(scales);
    packed.scale_type = type;
    return {};
}

}  // namespace

void append_rows(const QuantizedMatrix& rows, QuantizedMatrix& to) {
    const i64 groups = rows.column_groups();
    if (to.rows == 0) {
        to.columns = rows.columns;
        to.code = rows.code;
        to.group_columns = rows.group_columns;
        to.column_group = rows.column_group;
        to.scale_code = rows.scale_code;
        to.global_scale = rows.global_scale;
    }
    to.rows += rows.rows;
    to.codes.insert(to.codes.end(), rows.codes.begin(), rows.codes.end());
    const auto append = [&](const auto& values, auto& out) {
        if (values.empty()) return;
        for (i64 row = 0; row < rows.rows; ++row) {
            const auto first = values.begin() + row / rows.group_rows * groups;
            out.insert(out.end(), first, first + groups);
        }
    };
    append(rows.scales, to.scales);
    append(rows.zeros, to.zeros);
    append(rows.scale_codes, to.scale_codes);
}

Result<PackedWeight> pack_rows(QuantizedMatrix rows, const WeightForm& form) {
    if (form.group != 0 && form.group != rows.group_columns) use_groups_of(form.group, rows);
    WW_ASSIGN(PackedWeight packed, pack_weight(rows));
    if (form.scale != DType::u8) WW_TRY(use_scale_type(form.scale, packed));
    return packed;
}

}  // namespace warpwright
