// SPDX-License-Identifier: Apache-2.0
// Where device code may begin: the magic numbers of its forms, looked for at every byte at the speed of
// memory.
#pragma once

#include <optional>

#include "inspect/bytes.h"

namespace warpwright::inspect {

enum class Magic : u8 {
    fatbin,  // 50 ED 55 BA
    cubin,   // 7F "ELF", 64 bits, little endian, of CUDA's machine 190
    zstd,    // 28 B5 2F FD
    ptx,     // ".version"
    pack,    // "WWPACK01"
};

struct MagicHit {
    u64 offset = 0;
    Magic magic = Magic::fatbin;
};

// The first one at `from` or behind it. What stands there need not be what the number promises.
std::optional<MagicHit> next_magic(Bytes bytes, u64 from);

}  // namespace warpwright::inspect
