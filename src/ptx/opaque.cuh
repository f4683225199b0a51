// SPDX-License-Identifier: Apache-2.0
// Values that the compiler knows nothing of.
#pragma once

#include "warpwright/types.h"

namespace warpwright::ptx {

// ptx: mov.b32 | PTX ISA 9.7.9.3 | sm_20. The same number each time: what a loop makes of it is made again,
// and no register is kept for it.
__device__ inline i32 opaque(i32 value) {
    i32 result;
    asm volatile("mov.b32 %0, %1;" : "=r"(result) : "r"(value));
    return result;
}

}  // namespace warpwright::ptx
