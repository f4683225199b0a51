// SPDX-License-Identifier: Apache-2.0
// Included by the .inl files of execute/ at their top: elementwise handlers over 32 lanes.
//
// store_lanes(out, active, f): out[l] = f(l) for the active lanes. A full warp writes in place (f may read
// lane l of out's own slot); a partial one computes every lane into a temporary first and stores the active
// ones. f must be defined for any bits in inactive lanes (no division, no table index).
template <class T, class F>
static inline __attribute__((always_inline)) void store_lanes(T* out, u32 active, F f) {
    if (active == kAllLanes) {
#pragma GCC ivdep
        for (int l = 0; l < kLanes; ++l) out[l] = f(l);
        return;
    }
    alignas(64) T temporary[kLanes];
#pragma GCC ivdep
    for (int l = 0; l < kLanes; ++l) temporary[l] = f(l);
    for (int l = 0; l < kLanes; ++l) {
        if (active >> l & 1u) out[l] = temporary[l];
    }
}

// The lanes where f(l) holds, as a mask.
template <class F>
static inline __attribute__((always_inline)) u32 mask_lanes(F f) {
    u32 mask = 0;
    for (int l = 0; l < kLanes; ++l) mask |= static_cast<u32>(f(l) ? 1u : 0u) << l;
    return mask;
}
