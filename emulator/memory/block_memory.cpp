// SPDX-License-Identifier: Apache-2.0
#include "emulator/memory/block_memory.h"

#include <cstring>

namespace warpwright::emulator {

void SharedMemory::reset(u32 size) {
    if (data == nullptr || size > bytes) {
        data = std::make_unique_for_overwrite<std::byte[]>(size);
        shadow = std::make_unique_for_overwrite<u8[]>(size);
    }
    bytes = size;
    std::memset(data.get(), 0xff, size);
    std::memset(shadow.get(), 0, size);
}

}  // namespace warpwright::emulator
