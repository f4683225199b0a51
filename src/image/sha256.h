// SPDX-License-Identifier: Apache-2.0
// SHA-256 (FIPS 180-4), for the keys and checksums of images.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "warpwright/types.h"

namespace warpwright {

class Sha256 {
public:
    Sha256& update(std::string_view bytes);
    // The length goes in first, so that ("ab", "c") and ("a", "bc") differ.
    Sha256& field(std::string_view bytes);
    std::array<u8, 32> digest();  // ends the computation

private:
    void block(const u8* bytes);

    std::array<u32, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<u8, 64> pending_{};
    std::size_t num_pending_ = 0;
    u64 total_bytes_ = 0;
};

// The first 128 bits, as 16 raw bytes or 32 hexadecimal digits.
std::string short_digest(Sha256& hash);
std::string to_hex(std::string_view bytes);

}  // namespace warpwright
