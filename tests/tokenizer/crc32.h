// SPDX-License-Identifier: Apache-2.0
// The checksum that Python's zlib.crc32 gives.
#pragma once

#include <array>
#include <string_view>

#include "warpwright/types.h"

namespace warpwright {

inline u32 crc32(std::string_view bytes, u32 before = 0) {
    static const auto kTable = [] {
        std::array<u32, 256> table{};
        for (u32 i = 0; i < 256; ++i) {
            u32 value = i;
            for (int bit = 0; bit < 8; ++bit) value = value & 1 ? value >> 1 ^ 0xEDB88320u : value >> 1;
            table[i] = value;
        }
        return table;
    }();
    u32 crc = ~before;
    for (const char c : bytes) crc = kTable[(crc ^ static_cast<u8>(c)) & 0xFF] ^ crc >> 8;
    return ~crc;
}

}  // namespace warpwright
