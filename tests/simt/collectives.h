// SPDX-License-Identifier: Apache-2.0
// The collectives of a warp and a block beyond those of machine.h.
#pragma once

#include <algorithm>

#include "simt/machine.h"

namespace simt {

template <class T>
std::array<T, kWarp> gather_lanes(T mine) {
    std::array<u32, 8> words{};
    std::memcpy(words.data(), &mine, sizeof(T));
    const auto& lanes = warp_exchange(words);
    std::array<T, kWarp> values;
    for (int lane = 0; lane < kWarp; ++lane) std::memcpy(&values[lane], lanes[lane].data(), sizeof(T));
    return values;
}

inline int my_lane() {
    return machine.current % kWarp;
}

// A count per barrier. Three take turns: when a thread enters one, all have left the one before the last.
struct BarrierCounts {
    int count[3] = {};
    std::vector<int> turns;  // by thread
};
inline BarrierCounts barrier_counts;

}  // namespace simt

template <class T>
T __shfl_sync(unsigned, T value, int lane) {
    return simt::gather_lanes(value)[lane % simt::kWarp];
}
template <class T>
T __shfl_up_sync(unsigned, T value, int distance) {
    const auto values = simt::gather_lanes(value);
    const int from = simt::my_lane() - distance;
    return from < 0 ? value : values[from];
}
inline unsigned __reduce_add_sync(unsigned, unsigned value) {
    unsigned sum = 0;
    for (unsigned of_lane : simt::gather_lanes(value)) sum += of_lane;
    return sum;
}
inline unsigned __reduce_max_sync(unsigned, unsigned value) {
    const auto values = simt::gather_lanes(value);
    return *std::max_element(values.begin(), values.end());
}
inline int __reduce_min_sync(unsigned, int value) {
    const auto values = simt::gather_lanes(value);
    return *std::min_element(values.begin(), values.end());
}
inline unsigned __ballot_sync(unsigned, int predicate) {
    const auto values = simt::gather_lanes(predicate);
    unsigned bits = 0;
    for (int lane = 0; lane < simt::kWarp; ++lane) bits |= static_cast<unsigned>(values[lane] != 0) << lane;
    return bits;
}
inline int __any_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, predicate) != 0;
}
inline int __syncthreads_count(int predicate) {
    simt::BarrierCounts& counts = simt::barrier_counts;
    counts.turns.resize(simt::machine.fibers.size());
    const int turn = counts.turns[simt::machine.current]++;
    counts.count[(turn + 1) % 3] = 0;
    counts.count[turn % 3] += predicate != 0;
    __syncthreads();
    return counts.count[turn % 3];
}
inline unsigned atomicAdd(unsigned* address, unsigned value) {
    const unsigned before = *address;
    *address += value;
    return before;
}
inline unsigned atomicMax(unsigned* address, unsigned value) {
    const unsigned before = *address;
    *address = std::max(before, value);
    return before;
}
inline float __fmaf_rn(float a, float b, float c) {
    return std::fma(a, b, c);
}
inline float __fadd_rn(float a, float b) {
    return a + b;
}
inline float __fmul_rn(float a, float b) {
    return a * b;
}
inline float __frcp_rn(float a) {
    return 1 / a;
}
inline int __ffs(unsigned bits) {
    return __builtin_ffs(static_cast<int>(bits));
}

namespace warpwright {
using std::max;
using std::min;
}  // namespace warpwright
