// SPDX-License-Identifier: Apache-2.0
// How a weight's elements are stored: words shared by host code and kernels. No standard header: NVRTC reads
// this file too.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

// A weight is W[n, k] = (code - zero) * scale[n, k / group], with the format's own value in place of
// `code - zero` where codes are floating-point:
//   int4      codes 0..15, zero 8 unless zero points are given (GPTQ, AWQ, compressed-tensors)
//   int8      codes 0..255, zero 128 likewise
//   fp8_e4m3  OCP e4m3fn without its NaNs; any group (per tensor, per row, 128 x 128 blocks)
//   mxfp4     e2m1 with one e8m0 scale per 32 (OCP MX)
//   nvfp4     e2m1 with one e4m3 scale per 16, and one fp32 scale for all
enum class WeightFormat : u8 { int4, int8, fp8_e4m3, mxfp4, nvfp4 };
constexpr int kNumWeightFormats = static_cast<int>(WeightFormat::nvfp4) + 1;

struct WeightFormatFacts {
    const char* name;
    int bits;   // of a code
    int zero;   // the code of zero, where there are no zero points
    int group;  // elements of k that share a scale, where the format says so; 0: any
};

constexpr WeightFormatFacts facts_of(WeightFormat format) {
    switch (format) {
        case WeightFormat::int4: return {"int4", 4, 8, 0};
        case WeightFormat::int8: return {"int8", 8, 128, 0};
        case WeightFormat::fp8_e4m3: return {"fp8_e4m3", 8, 0, 0};
        case WeightFormat::mxfp4: return {"mxfp4", 4, 0, 32};
        case WeightFormat::nvfp4: return {"nvfp4", 4, 0, 16};
    }
    return {"?", 8, 0, 0};
}

constexpr bool is_integer(WeightFormat format) {
    return format == WeightFormat::int4 || format == WeightFormat::int8;
}

}  // namespace warpwright
