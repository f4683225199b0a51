// SPDX-License-Identifier: Apache-2.0
#include "device/external_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace warpwright {

constexpr std::uintptr_t kAlignment = 256;

Result<void*> ExternalMemory::allocate(const std::string& device, std::size_t bytes) {
    bytes = std::max<std::size_t>(bytes, 1);
    void* pointer = allocator_.allocate(allocator_.user, bytes);
    if (pointer == nullptr) {
        return unavailable(fmt::format("{}: out of memory: the caller's allocator gave nothing for {} bytes",
                                       device, bytes));
    }
    if (reinterpret_cast<std::uintptr_t>(pointer) % kAlignment != 0) {
        allocator_.release(allocator_.user, pointer, bytes);
        return unavailable(fmt::format("{}: the caller's allocator gave {}, expected a multiple of {} bytes",
                                       device, fmt::ptr(pointer), kAlignment));
    }
    const std::lock_guard lock(mutex_);
    bytes_[pointer] = bytes;
    return pointer;
}

void ExternalMemory::release(void* pointer) {
    std::size_t bytes = 0;
    {
        const std::lock_guard lock(mutex_);
        const auto out = bytes_.find(pointer);
        if (out == bytes_.end()) return;
        bytes = out->second;
        bytes_.erase(out);
    }
    allocator_.release(allocator_.user, pointer, bytes);
}

}  // namespace warpwright
