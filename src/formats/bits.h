// SPDX-License-Identifier: Apache-2.0
// Packed unsigned integers: element i of a stream is its bits [i b, i b + b), counted from the least
// significant bit of little-endian 32-bit words. Elements of 3 bits straddle words; those of 2, 4 and 8 do
// not.
#pragma once

#include <cstring>

#include "warpwright/types.h"

namespace warpwright::formats {

// The words of a stream lie `stride_words` apart: along a column of a stored matrix, say.
inline u32 word_at(const std::byte* words, i64 index, i64 stride_words) {
    u32 word = 0;
    std::memcpy(&word, words + 4 * index * stride_words, 4);
    return word;
}

// The words that `count` elements take.
constexpr i64 packed_words(i64 count, int bits) {
    return (count * bits + 31) / 32;
}

inline u8 packed_element(const std::byte* words, i64 stride_words, i64 element, int bits) {
    const i64 bit = element * bits;
    const int shift = static_cast<int>(bit % 32);
    u32 value = word_at(words, bit / 32, stride_words) >> shift;
    if (shift + bits > 32) value |= word_at(words, bit / 32 + 1, stride_words) << (32 - shift);
    return static_cast<u8>(value & ((1U << bits) - 1));
}

// A stream without gaps, from its first element on.
inline void unpack_stream(const std::byte* words, i64 count, int bits, u8* out) {
    const auto* bytes = reinterpret_cast<const u8*>(words);
    if (bits == 8) {
        std::memcpy(out, words, static_cast<std::size_t>(count));
    } else if (bits == 4) {
        for (i64 i = 0; i < count / 2; ++i) {
            out[2 * i] = bytes[i] & 0xf;
            out[2 * i + 1] = bytes[i] >> 4;
        }
        if (count % 2 != 0) out[count - 1] = bytes[count / 2] & 0xf;
    } else {
        for (i64 i = 0; i < count; ++i) out[i] = packed_element(words, 1, i, bits);
    }
}

// Two codes to a byte; an odd one has a zero above it.
inline void pack_nibbles(const u8* codes, i64 count, u8* bytes) {
    for (i64 i = 0; i < count / 2; ++i) bytes[i] = static_cast<u8>(codes[2 * i] | codes[2 * i + 1] << 4);
    if (count % 2 != 0) bytes[count / 2] = codes[count - 1];
}

// The other way; `words` is zeroed first.
inline void pack_stream(const u8* codes, i64 count, int bits, u32* words) {
    std::memset(words, 0, static_cast<std::size_t>(4 * packed_words(count, bits)));
    for (i64 i = 0; i < count; ++i) {
        const i64 bit = i * bits;
        const int shift = static_cast<int>(bit % 32);
        words[bit / 32] |= static_cast<u32>(codes[i]) << shift;
        if (shift + bits > 32) words[bit / 32 + 1] |= static_cast<u32>(codes[i]) >> (32 - shift);
    }
}

}  // namespace warpwright::formats
