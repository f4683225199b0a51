// SPDX-License-Identifier: Apache-2.0
// What a block and a warp own of memory.
#pragma once

#include <memory>
#include <vector>

#include "emulator/memory/global.h"

namespace warpwright::emulator {

// Shared memory of one block: static variables, then the dynamic part. `data` points to the byte of offset
// kSharedStart.
struct SharedMemory {
    u32 bytes = 0;
    std::unique_ptr<std::byte[]> data;
    std::unique_ptr<u8[]> shadow;  // as of global memory
    void reset(u32 size);          // allocates on first use; poison, nothing written
};

// Local memory of a warp: lane l's byte of offset kLocalStart + o is data[l * bytes + o].
struct LocalMemory {
    u32 bytes = 0;
    std::unique_ptr<std::byte[]> data;
};

// Translations that hit lately, one per warp: most instructions of a kernel touch few allocations.
struct TranslationCache {
    static constexpr int kEntries = 8;
    struct Entry {
        u64 base = 0, bytes = 0;
        const Allocation* allocation = nullptr;
    };
    Entry entry[kEntries];
    u64 generation = 0;
};

}  // namespace warpwright::emulator
