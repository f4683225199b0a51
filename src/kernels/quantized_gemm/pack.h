// SPDX-License-Identifier: Apache-2.0
// A weight as plain numbers (formats/quantized_matrix.h), into the layout that kernels read (layout.h) and
// back.
#pragma once

#include <cstddef>
#include <vector>

#include "formats/quantized_matrix.h"
#include "kernels/quantized_gemm/layout.h"
#include "warpwright/status.h"

namespace warpwright {

// The tensors and numbers of a QuantizedWeight (warpwright/ops/quantized_gemm.h), in host memory.
struct PackedWeight {
    WeightFormat format = WeightFormat::int4;
    i64 n = 0, k = 0;
    i64 group = 0;  // 0: the whole row
    std::vector<u8> data;
    DType scale_type = DType::bf16;
    std::vector<std::byte> scales;
    std::vector<u8> zeros;   // empty: the format's own
    std::vector<i32> order;  // [k]: the column of A that each k belongs to; empty: its own
    float global_scale = 1;
};

// u2, u3 and u4 become int4; u8 and i8 int8; e4m3 fp8_e4m3; e2m1 mxfp4 or nvfp4 by its coded scales. Scales
// become bf16 or f16 where that holds all of them exactly, else they stay fp32; coded ones stay coded. Scales
// of several rows are repeated for each. Nothing is rounded.
//
// Errors (caller), by the field's name and place: sizes that disagree; e5m2, which has no kernel; a group
// that is none of the format's, or no power of two from 32 on, or does not divide k (fp8_e4m3's last may be
// smaller); a code that the format has not; a scale that is NaN, infinite, negative or zero (nvfp4 may have
// zeros); a zero point out of range; columns that do not make whole groups.
Result<PackedWeight> pack_weight(const formats::QuantizedMatrix& matrix);

// Codes of row n, `count` columns from `first` on, in packed order.
void read_packed_codes(WeightFormat format, const u8* data, i64 k, i64 n, i64 first, i64 count, u8* codes);

// The weight as it was, but for what packing makes one: scales of several rows, coded scales as numbers, and
// integers' own zero points.
formats::QuantizedMatrix unpack_weight(const PackedWeight& packed);

// What the kernels multiply by: a code of this format as a number, before its scale.
float code_to_float(WeightFormat format, u8 code, int zero);
// Scale `index` of a packed weight, without the global one.
float scale_to_float(WeightFormat format, DType type, const void* scales, i64 index);

}  // namespace warpwright
