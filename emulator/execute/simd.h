// SPDX-License-Identifier: Apache-2.0
// Handlers are compiled for several instruction sets of the CPU and chosen once, when a program is decoded.
// A family puts its handlers into a file FAMILY.inl and compiles it with
//     #define WW_SIMD_FILE "emulator/execute/integer.inl"
//     #include "emulator/execute/each_simd_level.inl"
// which includes it once for each level, in a namespace of the level's name (baseline, avx2, avx512), with
// kLevel defined there. Standard headers must be included before, outside of the .inl file: whole files
// compiled for AVX would leave AVX copies of shared inline functions to the linker.
#pragma once

#include "warpwright/types.h"

namespace warpwright::emulator {

enum class SimdLevel : u8 { baseline, avx2, avx512 };

// The best this CPU has; WARPWRIGHT_SIMD=baseline|avx2|avx512 in the environment asks for less (tests).
SimdLevel simd_level();
// For tests: what is decoded from now on is for this level, or for the best one where the CPU has less.
// Returns the level before.
SimdLevel set_simd_level(SimdLevel level);
const char* simd_name(SimdLevel level);

}  // namespace warpwright::emulator
