// SPDX-License-Identifier: Apache-2.0
#include "emulator/execute/simd.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string_view>

namespace warpwright::emulator {
namespace {

SimdLevel best_level() {
#if defined(__x86_64__) && !defined(__clang__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512cd"))
        return SimdLevel::avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))
        return SimdLevel::avx2;
#endif
    return SimdLevel::baseline;
}

std::atomic<SimdLevel>& current_level() {
    static std::atomic<SimdLevel> level = [] {
        const SimdLevel best = best_level();
        const char* wish = std::getenv("WARPWRIGHT_SIMD");
        if (wish == nullptr) return best;
        for (int i = 0; i <= static_cast<int>(best); ++i) {
            if (std::string_view(wish) == simd_name(static_cast<SimdLevel>(i)))
                return static_cast<SimdLevel>(i);
        }
        return best;
    }();
    return level;
}

}  // namespace

const char* simd_name(SimdLevel level) {
    switch (level) {
        case SimdLevel::baseline: return "baseline";
        case SimdLevel::avx2: return "avx2";
        case SimdLevel::avx512: return "avx512";
    }
    return "?";
}

SimdLevel simd_level() {
    return current_level().load(std::memory_order_relaxed);
}

SimdLevel set_simd_level(SimdLevel level) {
    return current_level().exchange(std::min(level, best_level()));
}

}  // namespace warpwright::emulator
