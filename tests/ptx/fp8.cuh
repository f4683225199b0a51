// SPDX-License-Identifier: Apache-2.0
// src/ptx/fp8.cuh for tests/simt/machine.h: what attention needs of it.
#pragma once

#include "formats/codecs.h"
#include "ptx/convert.cuh"

namespace warpwright::ptx {

inline u32 unpack_e4m3(u32 pair) {
    return pack<Half>(formats::decode(formats::kE4M3, static_cast<u8>(pair)),
                      formats::decode(formats::kE4M3, static_cast<u8>(pair >> 8)));
}

}  // namespace warpwright::ptx
