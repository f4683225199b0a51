// SPDX-License-Identifier: Apache-2.0
// Numbers of one floating-point type as another: exact, or rounded to nearest even.
#pragma once

#include <cstddef>

#include "warpwright/types.h"

namespace warpwright {

// f32, f16 and bf16; `in` and `out` are aligned to their elements and do not overlap.
void convert(DType from, const std::byte* in, DType to, std::byte* out, i64 count);

}  // namespace warpwright
