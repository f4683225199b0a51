// SPDX-License-Identifier: Apache-2.0
// Where a 16-byte vector of a row-major tile lies in shared memory, so that the same vector of eight
// consecutive rows (what ldmatrix reads at once) touches every bank once.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

// Rows of a multiple of 128 bytes: three bits of the vector's number are exchanged with the row's number.
// Rows of an odd multiple of 64 bytes alternate between the halves of the banks by themselves: two bits.
template <int kVectors>
struct Swizzle {
    static_assert(kVectors % 4 == 0, "a row is a multiple of 64 bytes");
    static constexpr int kMask = kVectors % 8 == 0 ? 7 : 3;

    static constexpr int of_row(int row) { return kVectors % 8 == 0 ? row & 7 : row >> 1 & 3; }
    static constexpr u32 offset_bytes(int row, int vector) {
        return static_cast<u32>((row * kVectors + (vector ^ of_row(row))) * 16);
    }

    // The same for a loop over vectors: `base` is the address of (row, vector 0 or 1) of a tile that starts
    // at a multiple of 128 bytes, `step` an even number of vectors further.
    static constexpr u32 advance(u32 base, int step) {
        return (base ^ static_cast<u32>((step & kMask) * 16)) + static_cast<u32>((step & ~kMask) * 16);
    }
};

}  // namespace warpwright
