// SPDX-License-Identifier: Apache-2.0
// A weight as plain numbers, into the layout that kernels read (layout.h) and back. What reads a checkpoint's
// format makes a PlainWeight of it, and nothing else needs to know that format.
#pragma once

#include <span>
#include <vector>

#include "kernels/quantized_gemm/layout.h"
#include "warpwright/status.h"

namespace warpwright {

// Row-major, as the formula of warpwright/weight_format.h has it.
struct PlainWeight {
    WeightFormat format = WeightFormat::int4;
    i64 n = 0, k = 0;
    i64 group = 0;                      // elements of k that share a scale; 0: the whole row
    std::span<const u8> codes;          // [n, k], a code a byte
    DType scale_type = DType::bf16;     // bf16, f16 or f32; u8: e8m0 of mxfp4, e4m3 of nvfp4
    std::span<const std::byte> scales;  // [n, k / group]
    std::span<const u8> zeros;          // [n, k / group]; empty: the format's own
    std::span<const i32>
        group_of;  // [k]: which scale a column has (g_idx of GPTQ's act-order); empty: k / group
};

struct PackedWeight {
    std::vector<u8> data;
    std::vector<std::byte> scales;
    std::vector<u8> zeros;
    std::vector<i32> order;  // [k]: the column of A that each k belongs to; empty: its own
};

// Errors (caller): sizes that disagree, a group that does not divide k or is none of the format's, a code
// that the format has not, a scale that is NaN, infinite, negative or zero (nvfp4 may have zeros), a zero
// point beyond twice the format's own, columns that do not make whole groups. The text names the argument and
// the place.
Result<PackedWeight> pack_weight(const PlainWeight& weight);

// The codes as they were, [n, k] in the order of W's columns before they were sorted by group.
std::vector<u8> unpack_codes(WeightFormat format, i64 n, i64 k, const PackedWeight& packed);

// Codes of row n, of `count` columns from `first` on in packed order.
void read_packed_codes(WeightFormat format, const u8* data, i64 k, i64 n, i64 first, i64 count, u8* codes);

}  // namespace warpwright
