// SPDX-License-Identifier: Apache-2.0
// Keys and values to codes of 8 bits on the host, as warpwright/ops/kv_append.h defines them.
#pragma once

#include <limits>

#include "kernels/host_math.h"
#include "kernels/kv_format.h"

namespace warpwright {

// `count` numbers of 16 bits, of one head.
inline void encode_kv(const u16* from, DType dtype, i64 count, KvFormat format, float scale, u8* to) {
    constexpr u8 kNan = 0x7f;
    const formats::SmallFloat& type = small_float_of(format);
    const bool is_scale = scale > 0 && scale <= std::numeric_limits<float>::max();
    for (i64 i = 0; i < count; ++i) {
        const float quotient = load_float(from, dtype, i) / scale;
        to[i] = is_scale && quotient == quotient ? formats::encode(type, quotient) : kNan;
    }
}

}  // namespace warpwright
