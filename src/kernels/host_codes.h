// SPDX-License-Identifier: Apache-2.0
// Numbers of 8-bit codes on the host.
#pragma once

#include <array>

#include "formats/codecs.h"
#include "warpwright/types.h"

namespace warpwright {

// By e4m3 code.
inline const std::array<float, 256>& e4m3_numbers() {
    static const std::array<float, 256> all = [] {
        std::array<float, 256> numbers;
        for (std::size_t code = 0; code < numbers.size(); ++code)
            numbers[code] = formats::decode(formats::kE4M3, static_cast<u8>(code));
        return numbers;
    }();
    return all;
}

}  // namespace warpwright
