// SPDX-License-Identifier: Apache-2.0
// Rules that every family shares. Constexpr and without standard headers: NVRTC reads this file too.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

// Portable kernels are compiled for every GPU, the others for the build targets of their class.
constexpr bool arch_fits(ArchClass arch, BuildTarget target) {
    if (arch == ArchClass::portable) return target != BuildTarget::host;
    return facts_of(target).native == arch;
}

constexpr i64 required_capability(ArchClass arch) {
    return facts_of(arch).capability;
}

// What stops an image of this row from existing for a build target: its architecture class or its shared
// memory.
template <class Row>
constexpr Rejection image_misfit(const Row& row, BuildTarget target) {
    if (!arch_fits(row.arch, target)) {
        return {"architecture", required_capability(row.arch), static_cast<i64>(target), "build_target"};
    }
    if (row.shared_bytes > max_shared_per_block_bytes(target)) {
        return {"shared_memory", max_shared_per_block_bytes(target), row.shared_bytes, "at_most_bytes"};
    }
    return accepted();
}

template <class Row>
constexpr bool image_fits(const Row& row, BuildTarget target) {
    return !image_misfit(row, target);
}

// The first rule of every why_not: can the image exist, and does this very GPU have what it needs.
template <class Row>
constexpr Rejection target_misfit(const Row& row, const TargetFacts& target) {
    if (!arch_fits(row.arch, target.build_target)) {
        return {"architecture", required_capability(row.arch), target.compute_capability, "sm"};
    }
    if (const Rejection rejection = image_misfit(row, target.build_target)) return rejection;
    if (row.arch != ArchClass::host && row.shared_bytes > target.shared_per_block_bytes) {
        return {"shared_memory", target.shared_per_block_bytes, row.shared_bytes, "at_most_bytes"};
    }
    return accepted();
}

constexpr Rejection dtype_rejection(const char* rule, DType required, DType actual) {
    return {rule, static_cast<i64>(required), static_cast<i64>(actual), "dtype"};
}

constexpr i64 ceil_div(i64 a, i64 b) {
    return (a + b - 1) / b;
}
constexpr i64 round_up(i64 a, i64 b) {
    return ceil_div(a, b) * b;
}

}  // namespace warpwright
