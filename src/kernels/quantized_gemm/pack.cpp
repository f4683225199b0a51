// SPDX-License-Identifier: Apache-2.0
#include "kernels/quantized_gemm/pack.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/quantized_gemm/codes.h"

namespace warpwright {
namespace {

// Where the code of (n, k) lies: its byte, and the first of its bits in there.
struct Place {
    i64 byte;
    int shift;
};

Place place_of(WeightFormat format, i64 padded_k, i64 n, i64 k) {
    const i64 tile_k = packed_tile_k(format);
    const i64 tile = (n / kPackedRows * (padded_k / tile_k) + k / tile_k) * 4 + n % kPackedRows / 16;
    const i64 row = n % 16, of_eight = k % 8, member = k % 32 / 8;
    const i64 lane = row % 8 * 4 + member, step = k % tile_k / 32 * 2 + of_eight / 4;
    const i64 reg = row / 8 + of_eight % 4 / 2 * 2, odd = of_eight % 2;
    const i64 start = tile * kPackedTileBytes + lane * 16;
    if (facts_of(format).bits == 4) {
        const i64 nibble = reg + 4 * odd;
        return {start + step * 4 + nibble / 2, static_cast<int>(nibble % 2 * 4)};
    }
    return {start + (step * 2 + reg / 2) * 4 + reg % 2 + 2 * odd, 0};
}

i64 num_groups_of(const PlainWeight& w) {
    return w.group == 0 ? 1 : w.k / w.group;
}

Status check_sizes(const PlainWeight& w) {
    const WeightFormatFacts facts = facts_of(w.format);
    if (w.n < 1 || w.k < 1) {
        return caller_error(fmt::format("weight: n and k must be at least 1, got {} and {}", w.n, w.k));
    }
    if (facts.group != 0 && w.group != facts.group) {
        return caller_error(
            fmt::format("group: {} has groups of {}, got {}", facts.name, facts.group, w.group));
    }
    if (w.group < 0 || (w.group > 0 && w.k % w.group != 0)) {
        return caller_error(
            fmt::format("group: expected a divisor of k = {}, or 0 for the whole row, got {}", w.k, w.group));
    }
    if (static_cast<i64>(w.codes.size()) != w.n * w.k) {
        return caller_error(
            fmt::format("codes: expected {} x {} = {}, got {}", w.n, w.k, w.n * w.k, w.codes.size()));
    }
    if ((w.scale_type == DType::u8) != (facts.group != 0) || w.scale_type == DType::i32) {
        return caller_error(fmt::format("scales: {} has scales of {}, got {}", facts.name,
                                        facts.group != 0 ? "u8" : "bf16, f16 or f32",
                                        dtype_name(w.scale_type)));
    }
    const i64 num_scales = w.n * num_groups_of(w);
    const i64 got = static_cast<i64>(w.scales.size()) / dtype_bytes(w.scale_type);
    if (static_cast<i64>(w.scales.size()) != num_scales * dtype_bytes(w.scale_type)) {
        return caller_error(
            fmt::format("scales: expected {} x {} = {}, got {}", w.n, num_groups_of(w), num_scales, got));
    }
    if (w.zeros.empty()) return {};
    if (!is_integer(w.format)) return caller_error(fmt::format("zeros: {} has no zero points", facts.name));
    if (static_cast<i64>(w.zeros.size()) != num_scales) {
        return caller_error(fmt::format("zeros: expected {} x {} = {}, got {}", w.n, num_groups_of(w),
                                        num_scales, w.zeros.size()));
    }
    return {};
}

Status check_values(const PlainWeight& w) {
    const WeightFormatFacts facts = facts_of(w.format);
    const bool is_e4m3 = w.format == WeightFormat::fp8_e4m3;
    for (std::size_t i = 0; i < w.codes.size(); ++i) {
        const bool bad = is_e4m3 ? (w.codes[i] & 0x7f) == 0x7f : w.codes[i] >> facts.bits != 0;
        if (!bad) continue;
        const auto at = static_cast<i64>(i);
        return caller_error(fmt::format("codes[{}, {}]: {} has no code {}{}", at / w.k, at % w.k, facts.name,
                                        w.codes[i], is_e4m3 ? " (NaN)" : ""));
    }
    const i64 num_groups = num_groups_of(w), num_scales = w.n * num_groups;
    const bool may_be_zero = w.format == WeightFormat::nvfp4;
    for (i64 i = 0; i < num_scales; ++i) {
        const float scale = scale_to_float(w.format, w.scale_type, w.scales.data(), i);
        if (std::isfinite(scale) && (scale > 0 || (may_be_zero && scale == 0))) continue;
        return caller_error(fmt::format("scales[{}, {}]: expected a positive number, got {}", i / num_groups,
                                        i % num_groups, scale));
    }
    for (i64 i = 0; i < static_cast<i64>(w.zeros.size()); ++i) {
        if (w.zeros[i] >> facts.bits == 0 || w.zeros[i] <= 2 * facts.zero) continue;
        return caller_error(fmt::format("zeros[{}, {}]: expected at most {}, got {}", i / num_groups,
                                        i % num_groups, 2 * facts.zero, w.zeros[i]));
    }
    return {};
}

// Columns sorted by group, those of one group in their order.
Result<std::vector<i32>> order_of(const PlainWeight& w) {
    std::vector<i32> order;
    if (w.group_of.empty()) return order;
    if (static_cast<i64>(w.group_of.size()) != w.k) {
        return caller_error(fmt::format("group_of: expected k = {}, got {}", w.k, w.group_of.size()));
    }
    const i64 num_groups = num_groups_of(w);
    std::vector<i64> members(static_cast<std::size_t>(num_groups));
    for (i64 k = 0; k < w.k; ++k) {
        const i32 group = w.group_of[k];
        if (group < 0 || group >= num_groups) {
            return caller_error(
                fmt::format("group_of[{}]: expected 0 to {}, got {}", k, num_groups - 1, group));
        }
        ++members[group];
    }
    for (i64 g = 0; g < num_groups; ++g) {
        if (members[g] == w.k / num_groups) continue;
        return caller_error(fmt::format("group_of: expected {} columns of each group, group {} has {}",
                                        w.k / num_groups, g, members[g]));
    }
    order.resize(static_cast<std::size_t>(w.k));
    std::iota(order.begin(), order.end(), 0);
    if (std::is_sorted(w.group_of.begin(), w.group_of.end())) return std::vector<i32>{};
    std::stable_sort(order.begin(), order.end(), [&](i32 a, i32 b) { return w.group_of[a] < w.group_of[b]; });
    return order;
}

}  // namespace

Result<PackedWeight> pack_weight(const PlainWeight& w) {
    WW_TRY(check_sizes(w));
    WW_TRY(check_values(w));
    PackedWeight packed;
    WW_ASSIGN(packed.order, order_of(w));
    const WeightFormatFacts facts = facts_of(w.format);
    const i64 padded_n = round_up(w.n, kPackedRows), padded_k = round_up(w.k, kPackedK);
    packed.data.resize(static_cast<std::size_t>(packed_data_bytes(w.format, w.n, w.k)));
    const bool plain_order = packed.order.empty();
    for (i64 n = 0; n < padded_n; ++n) {
        for (i64 k = 0; k < padded_k; ++k) {
            int code = facts.zero;
            if (n < w.n && k < w.k) code = w.codes[n * w.k + (plain_order ? k : packed.order[k])];
            const Place place = place_of(w.format, padded_k, n, k);
            packed.data[place.byte] = static_cast<u8>(packed.data[place.byte] | code << place.shift);
        }
    }
    const i64 size = dtype_bytes(w.scale_type), num_groups = num_groups_of(w);
    const i64 padded_groups = packed_groups(w.k, w.group);
    const auto count = static_cast<std::size_t>(packed_scales(w.n, w.k, w.group));
    packed.scales.resize(count * size);
    if (!w.zeros.empty()) packed.zeros.resize(count);
    for (i64 n = 0; n < w.n; ++n) {
        for (i64 g = 0; g < num_groups; ++g) {
            const i64 from = n * num_groups + g, to = packed_scale_index(n, g, padded_groups);
            std::memcpy(&packed.scales[to * size], &w.scales[from * size], static_cast<std::size_t>(size));
            if (!w.zeros.empty()) packed.zeros[to] = w.zeros[from];
        }
    }
    return packed;
}

void read_packed_codes(WeightFormat format, const u8* data, i64 k, i64 n, i64 first, i64 count, u8* codes) {
    const i64 padded_k = round_up(k, kPackedK);
    const u32 mask = (1u << facts_of(format).bits) - 1;
    for (i64 i = 0; i < count; ++i) {
        const Place place = place_of(format, padded_k, n, first + i);
        codes[i] = static_cast<u8>(data[place.byte] >> place.shift & mask);
    }
}

std::vector<u8> unpack_codes(WeightFormat format, i64 n, i64 k, const PackedWeight& packed) {
    std::vector<u8> codes(static_cast<std::size_t>(n * k)), row(static_cast<std::size_t>(k));
    for (i64 i = 0; i < n; ++i) {
        read_packed_codes(format, packed.data.data(), k, i, 0, k, row.data());
        for (i64 j = 0; j < k; ++j) codes[i * k + (packed.order.empty() ? j : packed.order[j])] = row[j];
    }
    return codes;
}

}  // namespace warpwright
