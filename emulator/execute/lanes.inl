// SPDX-License-Identifier: Apache-2.0
// Included by the .inl files of execute/ at their top: loops over 32 lanes. The loops are for
// GCC to vectorise: a constant number of lanes, no branches, nothing called.

// 1 << lane, from memory: shifts by a variable count are slow before AVX2.
struct LaneBits {
    alignas(64) u32 bit[kLanes];
};
constexpr LaneBits kLaneBits = [] {
    LaneBits bits{};
    for (int l = 0; l < kLanes; ++l) bits.bit[l] = 1u << l;
    return bits;
}();

// store_lanes(out, active, f): out[l] = f(l) for the active lanes. f is called for all of them, and may read
// lane l of out's own slot: it must be defined for any bits in inactive lanes (no division, no table index).
template <class T, class F>
static inline __attribute__((always_inline)) void store_lanes(T* out, u32 active, F f) {
    if (active == kAllLanes) {
#pragma GCC ivdep
        for (int l = 0; l < kLanes; ++l) out[l] = f(l);
        return;
    }
#pragma GCC ivdep
    for (int l = 0; l < kLanes; ++l) {
        const T value = f(l);
        out[l] = (active & kLaneBits.bit[l]) != 0 ? value : out[l];
    }
}

// The same with one copy of f's code, for the long ones.
template <class T, class F>
static inline __attribute__((always_inline)) void store_lanes_long(T* out, u32 active, F f) {
#pragma GCC ivdep
    for (int l = 0; l < kLanes; ++l) {
        const T value = f(l);
        out[l] = (active & kLaneBits.bit[l]) != 0 ? value : out[l];
    }
}

// For what does not vectorise, or must not be computed in inactive lanes.
template <class T, class F>
static inline __attribute__((always_inline)) void store_each_lane(T* out, u32 active, F f) {
    for (u32 left = active; left != 0; left &= left - 1) {
        const int l = __builtin_ctz(left);
        out[l] = f(l);
    }
}

// The lanes where f(l) holds, as a mask.
template <class F>
static inline __attribute__((always_inline)) u32 mask_lanes(F f) {
    u32 mask = 0;
    for (int l = 0; l < kLanes; ++l) mask |= f(l) ? kLaneBits.bit[l] : 0u;
    return mask;
}
