// SPDX-License-Identifier: Apache-2.0
// Device memory from the caller's allocator: who is asked, and what is out.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "warpwright/device.h"

namespace warpwright {

class ExternalMemory {
public:
    explicit ExternalMemory(const Allocator& allocator) : allocator_(allocator) {}

    // Unavailable: the allocator gave nothing, or not at a multiple of 256 bytes. Nothing is asked for as one
    // byte.
    Result<void*> allocate(const std::string& device, std::size_t bytes);
    void release(void* pointer);  // null, and what is not its own, is left alone

private:
    const Allocator allocator_;
    std::mutex mutex_;
    std::unordered_map<void*, std::size_t> bytes_;  // of what is out
};

}  // namespace warpwright
