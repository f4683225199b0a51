// SPDX-License-Identifier: Apache-2.0
// A zstd frame somewhere in a file: what it begins with when it is expanded, and where it ends.
#pragma once

#include <vector>

#include "inspect/bytes.h"

namespace warpwright::inspect {

struct ZstdPeek {
    std::vector<std::byte> beginning_bytes;
    Bytes beginning;        // expanded, at most some KB; empty: no frame, or an empty one
    u64 content_bytes = 0;  // 0: the frame does not tell
    u64 work = 0;           // bytes read and made to find that out
};
ZstdPeek peek_zstd(Bytes from_magic);

// Where its blocks end; 0 bytes: not within these bytes.
struct ZstdExtent {
    u64 bytes = 0;
    u64 work = 0;
};
ZstdExtent zstd_extent(Bytes from_magic);

}  // namespace warpwright::inspect
