// SPDX-License-Identifier: Apache-2.0
#include "kernels/quantized_gemm/pack.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "formats/codecs.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

using formats::Code;
using formats::QuantizedMatrix;
using formats::ScaleCode;

// Where in a tile of 512 bytes the code of (row, k) lies: its half word, and the register whose bits are its.
struct Place {
    i64 half;
    int reg;
};

Place place_in_tile(WeightFormat format, i64 row, i64 k) {
    const i64 lane = row % 8 * 4 + k % 32 / 8, step = k / 32 * 2 + k % 8 / 4;
    const auto reg = static_cast<int>(row / 8 + k % 4 / 2 * 2);
    const i64 word = facts_of(format).bits == 4 ? step : step * 2 + reg / 2;
    return {(lane * 4 + word) * 2 + k % 2, reg};
}

u32 spread(WeightFormat format, int reg, u32 code) {
    u32 half = 0;
    for (int bit = 0; bit < facts_of(format).bits; ++bit) {
        half |= (code >> bit & 1) << packed_bit(format, reg, bit);
    }
    return half;
}

// What each register makes of a code, [register][code].
std::vector<u16> spread_table(WeightFormat format) {
    const u32 codes = 1u << facts_of(format).bits;
    std::vector<u16> table;
    for (int reg = 0; reg < 4; ++reg) {
        for (u32 code = 0; code < codes; ++code) table.push_back(static_cast<u16>(spread(format, reg, code)));
    }
    return table;
}

i64 tile_start(WeightFormat format, i64 padded_k, i64 n, i64 k) {
    const i64 tile_k = packed_tile_k(format);
    return ((n / kPackedRows * (padded_k / tile_k) + k / tile_k) * 4 + n % kPackedRows / 16) *
           kPackedTileBytes;
}

Result<WeightFormat> format_of(const QuantizedMatrix& m) {
    switch (m.code) {
        case Code::u2:
        case Code::u3:
        case Code::u4: return WeightFormat::int4;
        case Code::u8:
        case Code::i8: return WeightFormat::int8;
        case Code::e4m3: return WeightFormat::fp8_e4m3;
        case Code::e2m1:
            if (m.scale_code == ScaleCode::e8m0) return WeightFormat::mxfp4;
            if (m.scale_code == ScaleCode::e4m3) return WeightFormat::nvfp4;
            return caller_error("scale_code: e2m1 needs scales in e8m0 (mxfp4) or e4m3 (nvfp4), got numbers");
        case Code::e5m2: break;
    }
    return caller_error(fmt::format("code: no kernel multiplies by {}", formats::facts_of(m.code).name));
}

bool has_coded_scales(WeightFormat format) {
    return facts_of(format).group != 0;
}

// What is added to a code so that zero is the format's own.
int code_shift(const QuantizedMatrix& m, WeightFormat format) {
    if (!is_integer(format) || !m.zeros.empty()) return m.code == Code::i8 ? 128 : 0;
    return facts_of(format).zero - formats::facts_of(m.code).symmetric_zero;
}

template <class Value>
Status check_count(const char* name, const std::vector<Value>& values, i64 rows, i64 columns) {
    if (static_cast<i64>(values.size()) == rows * columns) return {};
    return caller_error(
        fmt::format("{}: expected {} x {} = {}, got {}", name, rows, columns, rows * columns, values.size()));
}

Status check_group(const QuantizedMatrix& m, WeightFormat format) {
    const WeightFormatFacts facts = facts_of(format);
    const i64 group = m.group_columns;
    if (facts.group != 0 && group != facts.group) {
        return caller_error(
            fmt::format("group_columns: {} has groups of {}, got {}", facts.name, facts.group, group));
    }
    const bool may_end_early = format == WeightFormat::fp8_e4m3 && m.column_group.empty();
    if (group < m.columns && m.columns % group != 0 && !may_end_early) {
        return caller_error(fmt::format("group_columns: {} does not divide k = {}", group, m.columns));
    }
    if (facts.group == 0 && group < m.columns && (group < 32 || (group & (group - 1)) != 0)) {
        return caller_error(fmt::format(
            "group_columns: expected a power of two from 32 on, or all of k = {}, got {}", m.columns, group));
    }
    return {};
}

Status check_sizes(const QuantizedMatrix& m, WeightFormat format) {
    if (m.rows < 1 || m.columns < 1 || m.group_rows < 1 || m.group_columns < 1) {
        return caller_error(
            fmt::format("rows, columns and their groups must be at least 1, got {}, {}, {} and {}", m.rows,
                        m.columns, m.group_rows, m.group_columns));
    }
    WW_TRY(check_group(m, format));
    WW_TRY(check_count("codes", m.codes, m.rows, m.columns));
    WW_TRY(check_count("scales", m.scales, m.row_groups(), m.column_groups()));
    if (has_coded_scales(format)) {
        WW_TRY(check_count("scale_codes", m.scale_codes, m.row_groups(), m.column_groups()));
    }
    if (!m.column_group.empty()) WW_TRY(check_count("column_group", m.column_group, 1, m.columns));
    if (m.zeros.empty()) return {};
    if (!is_integer(format)) {
        return caller_error(fmt::format("zeros: {} has no zero points", facts_of(format).name));
    }
    return check_count("zeros", m.zeros, m.row_groups(), m.column_groups());
}

Status check_values(const QuantizedMatrix& m, WeightFormat format) {
    const formats::CodeFacts code = formats::facts_of(m.code);
    const bool is_e4m3 = m.code == Code::e4m3;
    for (std::size_t i = 0; i < m.codes.size(); ++i) {
        const bool bad = is_e4m3 ? (m.codes[i] & 0x7f) == 0x7f : m.codes[i] >> code.bits != 0;
        if (!bad) continue;
        const auto at = static_cast<i64>(i);
        return caller_error(fmt::format("codes[{}, {}]: {} has no {}{}", at / m.columns, at % m.columns,
                                        code.name, m.codes[i], is_e4m3 ? " (NaN)" : ""));
    }
    const i64 groups = m.column_groups();
    for (i64 i = 0; i < static_cast<i64>(m.scales.size()); ++i) {
        const float scale = m.scales[i];
        if (std::isfinite(scale) && (scale > 0 || (scale == 0 && format == WeightFormat::nvfp4))) continue;
        return caller_error(
            fmt::format("scales[{}, {}]: expected a positive number, got {}", i / groups, i % groups, scale));
    }
    const int lowest = m.code == Code::i8 ? -128 : 0, highest = lowest + (1 << facts_of(format).bits) - 1;
    for (i64 i = 0; i < static_cast<i64>(m.zeros.size()); ++i) {
        // 16 is what GPTQ's first version makes of a stored 15.
        if (m.zeros[i] >= lowest && m.zeros[i] <= (format == WeightFormat::int4 ? 16 : highest)) continue;
        return caller_error(fmt::format("zeros[{}, {}]: expected {} to {}, got {}", i / groups, i % groups,
                                        lowest, format == WeightFormat::int4 ? 16 : highest, m.zeros[i]));
    }
    return {};
}

// Columns sorted by group, those of one group in their order; empty: they are.
Result<std::vector<i32>> order_of(const QuantizedMatrix& m) {
    const auto& group_of = m.column_group;
    const i64 groups = m.column_groups();
    std::vector<i64> members(static_cast<std::size_t>(groups));
    for (i64 k = 0; k < static_cast<i64>(group_of.size()); ++k) {
        if (group_of[k] < 0 || group_of[k] >= groups) {
            return caller_error(
                fmt::format("column_group[{}]: expected 0 to {}, got {}", k, groups - 1, group_of[k]));
        }
        ++members[group_of[k]];
    }
    for (i64 g = 0; g < groups && !group_of.empty(); ++g) {
        if (members[g] == m.columns / groups) continue;
        return caller_error(fmt::format("column_group: expected {} columns of each group, group {} has {}",
                                        m.columns / groups, g, members[g]));
    }
    std::vector<i32> order;
    if (std::is_sorted(group_of.begin(), group_of.end())) return order;
    order.resize(group_of.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](i32 a, i32 b) { return group_of[a] < group_of[b]; });
    return order;
}

void pack_codes(const QuantizedMatrix& m, PackedWeight& packed) {
    const WeightFormat format = packed.format;
    const i64 tile_k = packed_tile_k(format), padded_n = round_up(m.rows, kPackedRows);
    const i64 padded_k = round_up(m.columns, kPackedK);
    const int shift = code_shift(m, format), padding = facts_of(format).zero;
    packed.data.resize(static_cast<std::size_t>(packed_data_bytes(format, m.rows, m.columns)));
    const std::vector<u16> table = spread_table(format);
    const int bits = facts_of(format).bits;
    std::vector<Place> places;  // of a tile, row by row
    for (i64 row = 0; row < 16; ++row) {
        for (i64 k = 0; k < tile_k; ++k) places.push_back(place_in_tile(format, row, k));
    }
    for (i64 n = 0; n < padded_n; ++n) {
        const u8* codes = n < m.rows ? m.codes.data() + n * m.columns : nullptr;
        for (i64 first = 0; first < padded_k; first += tile_k) {
            u8* tile = packed.data.data() + tile_start(format, padded_k, n, first);
            const Place* place = places.data() + n % 16 * tile_k;
            for (i64 i = 0; i < tile_k; ++i, ++place) {
                const i64 k = first + i;
                int code = padding;
                if (codes != nullptr && k < m.columns) {
                    code = (codes[packed.order.empty() ? k : packed.order[k]] + shift) & 0xff;
                }
                u16 half;
                std::memcpy(&half, tile + place->half * 2, sizeof(half));
                half |= table[(place->reg << bits) + code];
                std::memcpy(tile + place->half * 2, &half, sizeof(half));
            }
        }
    }
}

// The smallest type that holds every scale exactly.
DType scale_type_of(const QuantizedMatrix& m) {
    const auto all = [&](DType type) {
        return std::all_of(m.scales.begin(), m.scales.end(),
                           [&](float scale) { return round_to(type, scale) == scale; });
    };
    return all(DType::bf16) ? DType::bf16 : all(DType::f16) ? DType::f16 : DType::f32;
}

void pack_scales(const QuantizedMatrix& m, PackedWeight& packed) {
    const bool coded = has_coded_scales(packed.format);
    packed.scale_type = coded ? DType::u8 : scale_type_of(m);
    if (coded) packed.global_scale = m.global_scale;
    const auto count = static_cast<std::size_t>(packed_scales(m.rows, m.columns, packed.group));
    packed.scales.resize(count * dtype_bytes(packed.scale_type));
    if (!m.zeros.empty()) packed.zeros.resize(count);
    const i64 groups = m.column_groups(), padded_groups = packed_groups(m.columns, packed.group);
    for (i64 n = 0; n < m.rows; ++n) {
        for (i64 g = 0; g < groups; ++g) {
            const i64 from = n / m.group_rows * groups + g, to = packed_scale_index(n, g, padded_groups);
            if (coded) {
                packed.scales[to] = static_cast<std::byte>(m.scale_codes[from]);
            } else {
                store_float(packed.scales.data(), packed.scale_type, to, m.scales[from]);
            }
            if (!m.zeros.empty()) {
                packed.zeros[to] = static_cast<u8>(m.zeros[from] + (m.code == Code::i8 ? 128 : 0));
            }
        }
    }
}

}  // namespace

Result<PackedWeight> pack_weight(const QuantizedMatrix& m) {
    WW_ASSIGN(const WeightFormat format, format_of(m));
    WW_TRY(check_sizes(m, format));
    WW_TRY(check_values(m, format));
    PackedWeight packed{.format = format, .n = m.rows, .k = m.columns};
    packed.group = m.group_columns < m.columns || has_coded_scales(format) ? m.group_columns : 0;
    WW_ASSIGN(packed.order, order_of(m));
    pack_codes(m, packed);
    pack_scales(m, packed);
    return packed;
}

void read_packed_codes(WeightFormat format, const u8* data, i64 k, i64 n, i64 first, i64 count, u8* codes) {
    const i64 tile_k = packed_tile_k(format), padded_k = round_up(k, kPackedK);
    std::array<Moves, 4> moves{};
    for (int reg = 0; reg < 4; ++reg) moves[reg] = moves_of(format, reg, 0, facts_of(format).bits - 1);
    for (i64 i = 0; i < count; ++i) {
        const Place place = place_in_tile(format, n % 16, (first + i) % tile_k);
        const u8* tile = data + tile_start(format, padded_k, n, first + i);
        u16 half;
        std::memcpy(&half, tile + place.half * 2, sizeof(half));
        u32 code = 0;
        for (int part = 0; part < 4; ++part) {
            code |= shifted(half, moves[place.reg].shift[part]) & moves[place.reg].mask[part];
        }
        codes[i] = static_cast<u8>(code);
    }
}

QuantizedMatrix unpack_weight(const PackedWeight& p) {
    constexpr std::array<Code, kNumWeightFormats> kCodes = {Code::u4, Code::u8, Code::e4m3, Code::e2m1,
                                                            Code::e2m1};
    QuantizedMatrix m{.rows = p.n, .columns = p.k, .code = kCodes[static_cast<int>(p.format)]};
    m.group_columns = p.group == 0 ? p.k : p.group;
    m.codes.resize(static_cast<std::size_t>(p.n * p.k));
    std::vector<u8> row(static_cast<std::size_t>(p.k));
    for (i64 n = 0; n < p.n; ++n) {
        read_packed_codes(p.format, p.data.data(), p.k, n, 0, p.k, row.data());
        for (i64 k = 0; k < p.k; ++k) m.codes[n * p.k + (p.order.empty() ? k : p.order[k])] = row[k];
    }
    if (!p.order.empty()) {
        m.column_group.resize(static_cast<std::size_t>(p.k));
        for (i64 k = 0; k < p.k; ++k) m.column_group[p.order[k]] = static_cast<i32>(k / m.group_columns);
    }
    const i64 groups = m.column_groups(), padded_groups = packed_groups(p.k, p.group);
    for (i64 n = 0; n < p.n; ++n) {
        for (i64 g = 0; g < groups; ++g) {
            const i64 index = packed_scale_index(n, g, padded_groups);
            m.scales.push_back(scale_to_float(p.format, p.scale_type, p.scales.data(), index) *
                               p.global_scale);
            if (p.scale_type == DType::u8) m.scale_codes.push_back(static_cast<u8>(p.scales[index]));
            if (!p.zeros.empty()) m.zeros.push_back(p.zeros[index]);
        }
    }
    if (p.format == WeightFormat::mxfp4) m.scale_code = ScaleCode::e8m0;
    if (p.format == WeightFormat::nvfp4) m.scale_code = ScaleCode::e4m3;
    m.global_scale = p.global_scale;
    return m;
}

float code_to_float(WeightFormat format, u8 code, int zero) {
    switch (format) {
        case WeightFormat::int4:
        case WeightFormat::int8: return static_cast<float>(code - zero);
        case WeightFormat::fp8_e4m3: return formats::decode(formats::kE4M3, code);
        case WeightFormat::mxfp4:
        case WeightFormat::nvfp4: return formats::decode(formats::kE2M1, code);
    }
    return 0;
}

float scale_to_float(WeightFormat format, DType type, const void* scales, i64 index) {
    if (type != DType::u8) return load_float(scales, type, index);
    const u8 code = static_cast<const u8*>(scales)[index];
    return format == WeightFormat::mxfp4 ? formats::decode_e8m0(code) : formats::decode(formats::kE4M3, code);
}

}  // namespace warpwright
