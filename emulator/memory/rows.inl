// SPDX-License-Identifier: Apache-2.0
// Rows of matrices: 16 bytes in shared memory, whose addresses the lanes give, lane 8i + j that of row j of matrix
// i. Eight rows one after the other are, word by word, what the 32 lanes hold of a matrix: lane t has word t % 4
// of row t / 4.
#include "emulator/execute/lanes.inl"
#include "emulator/memory/lookup.inl"

constexpr int kRowBytes = 16;
constexpr int kMatrixBytes = 8 * kRowBytes;

// All 32 lanes must be there: PTX leaves the rest undefined.
static inline __attribute__((always_inline)) bool is_whole(Warp& warp, const Instruction& instruction,
                                                           u32 active, Flow& flow) {
    if (active == kAllLanes) [[likely]]
        return true;
    flow = wait_for_whole_warp(warp, instruction, active);
    return false;
}

// kRows rows of the first kRows lanes, one after the other.
template <int kRows>
static inline __attribute__((always_inline)) Flow read_rows(Warp& warp, const Instruction& instruction,
                                                            int address_operand, std::byte* rows) {
    constexpr u32 kLanesUsed = kRows == 32 ? kAllLanes : (1u << kRows % 32) - 1;
    bool is_elsewhere = false;
    const Flow flow = for_each_span<kRowBytes, Use::load>(
        warp, instruction, access_space(instruction), addresses_of(warp, instruction, address_operand),
        kLanesUsed, [&](const Lookup& lookup) {
            is_elsewhere |= !lookup.span.is_shared;
            if (lookup.layout == Layout::row) {
                std::memcpy(rows, lookup.span.data + lookup.first, kRows * kRowBytes);
            } else if (lookup.layout == Layout::scattered && lookup.inside == kLanesUsed) {
#pragma GCC unroll 32
                for (int l = 0; l < kRows; ++l)
                    std::memcpy(rows + l * kRowBytes, lookup.span.data + lookup.offset[l], kRowBytes);
            } else {
                for (u32 rest = lookup.inside; rest != 0; rest &= rest - 1) {
                    const int l = first_lane(rest);
                    std::memcpy(rows + l * kRowBytes, bytes_of<kRowBytes>(lookup, l), kRowBytes);
                }
            }
        });
    if (is_elsewhere) [[unlikely]]
        return report_not_shared(warp, instruction, kLanesUsed, address_operand);
    return flow;
}

template <int kRows>
static inline __attribute__((always_inline)) Flow write_rows(Warp& warp, const Instruction& instruction,
                                                             const std::byte* rows) {
    constexpr u32 kLanesUsed = kRows == 32 ? kAllLanes : (1u << kRows % 32) - 1;
    bool is_elsewhere = false, changes = false;
    const Flow flow = for_each_span<kRowBytes, Use::store>(
        warp, instruction, access_space(instruction), addresses_of(warp, instruction, 0), kLanesUsed,
        [&](const Lookup& lookup) {
            if (!lookup.span.is_shared) {
                is_elsewhere = true;
                return;
            }
            for (u32 rest = lookup.inside; rest != 0; rest &= rest - 1) {
                const int l = first_lane(rest);
                std::byte* to = bytes_of<kRowBytes>(lookup, l);
                changes |= std::memcmp(to, rows + l * kRowBytes, kRowBytes) != 0;
                std::memcpy(to, rows + l * kRowBytes, kRowBytes);
                if (lookup.span.shadow != nullptr)
                    std::memset(lookup.span.shadow + (to - lookup.span.data), kShadowWritten, kRowBytes);
            }
        });
    if (is_elsewhere) [[unlikely]]
        return report_not_shared(warp, instruction, kLanesUsed, 0);
    if (changes) warp.note_change();
    return flow;
}

