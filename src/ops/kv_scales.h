// SPDX-License-Identifier: Apache-2.0
// The scales of 8-bit keys and values, as attention and kv_append take them.
#pragma once

#include <fmt/format.h>

#include "ops/match.h"
#include "warpwright/kv_format.h"

namespace warpwright {

// One for all kv heads, or one for each; `match` knows kv_heads.
inline void match_kv_scales(Matcher& match, KvFormat format, const Tensor& k_scale, const Tensor& v_scale) {
    const auto scale = [&](const char* name, const Tensor& tensor) {
        if (!tensor) return;
        match
            .require(format != KvFormat::same,
                     fmt::format("{} is for kv_format fp8_e4m3, fp8_e5m2 or nvfp4, got same", name))
            .tensor(name, tensor, {name}, {DType::f32});
        const i64 count = match[name], heads = match["kv_heads"];
        match.require(count == 1 || count == heads,
                      fmt::format("{} must have 1 element or kv_heads = {}, got {}", name, heads, count));
    };
    scale("k_scale", k_scale);
    scale("v_scale", v_scale);
}

// Of what writes codes.
inline void match_written_format(Matcher& match, KvFormat format) {
    match.require(format != KvFormat::nvfp4,
                  "kv_format nvfp4 is only read: quantize makes its codes and scales, and kv_append takes "
                  "them into pages as tensors of 16-bit elements");
}

// Elements from a kv head's scale to the next one's.
inline i32 kv_scale_stride(const Tensor& scale) {
    return scale.rank == 1 && scale.shape[0] > 1 ? 1 : 0;
}

}  // namespace warpwright
