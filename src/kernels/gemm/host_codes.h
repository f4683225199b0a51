// SPDX-License-Identifier: Apache-2.0
// Results of a product as codes, on the host (codes.cuh has the definition).
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "formats/codecs.h"
#include "kernels/gemm/problem.h"

namespace warpwright {

// A code of d, as the kernels make it.
inline u8 encode(const GemmArgs& args, float value) {
    const float scale = *args.d_scale;
    const bool usable = scale > 0 && scale <= std::numeric_limits<float>::max();
    value *= usable ? 1 / scale : std::numeric_limits<float>::quiet_NaN();
    if (args.d_code == CodeType::e4m3)
        return std::isnan(value) ? formats::kE4M3.nan_code : formats::encode(formats::kE4M3, value);
    return std::isnan(value) ? 0 : static_cast<u8>(std::lrintf(std::clamp(value, -127.0F, 127.0F)));
}

inline void raise_amax(u32* to, u32 magnitude) {
    const std::atomic_ref<u32> amax(*to);
    for (u32 known = amax; magnitude > known && !amax.compare_exchange_weak(known, magnitude);) {
    }
}

}  // namespace warpwright
