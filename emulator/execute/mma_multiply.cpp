// SPDX-License-Identifier: Apache-2.0
#include "emulator/execute/mma.h"

namespace warpwright::emulator::mma {
namespace {

#define WW_SIMD_FILE "emulator/execute/mma.inl"
#include "emulator/execute/each_simd_level.inl"

}  // namespace

const Multipliers& multipliers(SimdLevel level) {
    switch (level) {
        case SimdLevel::baseline: return baseline::kMultipliers;
        case SimdLevel::avx2: return avx2::kMultipliers;
        case SimdLevel::avx512: return avx512::kMultipliers;
    }
    return baseline::kMultipliers;
}

}  // namespace warpwright::emulator::mma
