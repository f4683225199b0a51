// SPDX-License-Identifier: Apache-2.0
// How keys and values are stored: words shared by host code and kernels. No standard header: NVRTC reads this
// file too.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

// A code of 8 bits is about decode(code) x scale of a key or value, with one scale for a layer's keys, or one
// for each of their heads, and likewise for its values.
//   same      16 bits, the queries' type, without scales
//   fp8_e4m3  OCP e4m3fn
//   fp8_e5m2  OCP e5m2
//   nvfp4     two codes of e2m1 a byte, the first in the low bits, with a scale in e4m3 for each 16 columns
//             of a token and head; attention reads it
enum class KvFormat : u8 { same, fp8_e4m3, fp8_e5m2, nvfp4 };
constexpr int kNumKvFormats = static_cast<int>(KvFormat::fp8_e5m2) + 1;  // that a model's cache may have

constexpr i64 kKvBlock = 16;  // columns of a scale of nvfp4

constexpr const char* kv_format_name(KvFormat format) {
    switch (format) {
        case KvFormat::same: return "same";
        case KvFormat::fp8_e4m3: return "fp8_e4m3";
        case KvFormat::fp8_e5m2: return "fp8_e5m2";
        case KvFormat::nvfp4: return "nvfp4";
    }
    return "?";
}

// Elements of the tensors: codes are bytes.
constexpr DType kv_dtype(KvFormat format, DType dtype) {
    return format == KvFormat::same ? dtype : DType::u8;
}

// Bytes of a key's or value's column, its share of a block's scale among them.
constexpr double kv_bytes(KvFormat format, DType dtype) {
    return format == KvFormat::nvfp4 ? 0.5 + 1.0 / kKvBlock : dtype_bytes(kv_dtype(format, dtype));
}

constexpr const char* enum_text(KvFormat format) {
    return kv_format_name(format);
}

}  // namespace warpwright
