// SPDX-License-Identifier: Apache-2.0
// Global memory of one emulated device: allocations in an address range of its own, far apart, never reused
// while the device lives, so that every wrong address is told from a right one. Arrays of the caller can be
// imported: they get an address of the device and keep their bytes where they are.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>

#include "emulator/check/finding.h"
#include "emulator/memory/windows.h"
#include "warpwright/status.h"

namespace warpwright::emulator {

// One byte of shadow for each byte of memory.
constexpr u8 kShadowWritten = 1;  // holds a value
constexpr u8 kShadowAsync = 2;    // the target of an asynchronous copy that was not waited for

struct Allocation {
    u64 base = 0;
    u64 bytes = 0;
    std::byte* data = nullptr;
    u8* shadow = nullptr;      // null: everything counts as written (imported)
    bool is_released = false;  // stays in the map to name a use after free; data is gone
    bool is_read_only = false;
    bool is_imported = false;
    u64 serial = 0;  // "allocation 17"
};

class GlobalMemory {
public:
    explicit GlobalMemory(int device, u64 capacity_bytes);
    ~GlobalMemory();

    // 256-byte aligned; an error when it is more than what is free. Fresh memory is filled with a pattern
    // that is NaN in every floating-point type (0xff), and its shadow says not written.
    Result<u64> allocate(u64 bytes);
    // Of an allocation's start; 0 is nothing. No grid and no copy that uses it may be running.
    Status release(u64 address);
    // The caller's bytes under an address of this device, which has the low 8 bits of theirs: what is aligned
    // there is aligned here. release() lets go of them.
    Result<u64> import(void* data, u64 bytes, bool read_only);

    // The live allocation that [address, address + bytes) lies in, or null. Thread-safe; the pointer lives as
    // long as the allocation does.
    const Allocation* find(u64 address, u64 bytes) const;
    // Why find() gave null: a sentence with the nearest allocation ("8 bytes past allocation 17 of 4096
    // bytes", "a host address", "an address of emulated device 2"), and the kind of finding.
    Finding explain(u64 address, u64 bytes) const;

    // For copies of the host: the whole range must be inside of one live allocation.
    Status write(u64 address, const void* from, u64 bytes);
    Status read(u64 address, void* to, u64 bytes) const;
    Status fill(u64 address, u8 value, u64 bytes);
    Status copy(u64 to, u64 from, u64 bytes);  // the shadow is copied too; the ranges may overlap

    u64 used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
    u64 capacity_bytes() const { return capacity_bytes_; }
    int device() const { return device_; }
    // Grows whenever an allocation is made or released: what was cached before is stale then.
    u64 generation() const { return generation_.load(std::memory_order_acquire); }

private:
    const Allocation* find_locked(u64 address, u64 bytes) const;
    Result<u64> add(std::unique_ptr<Allocation> allocation);
    Status range_error(const char* what, u64 address, u64 bytes) const;
    void forget_released();

    const int device_;
    const u64 capacity_bytes_;
    std::atomic<u64> used_bytes_{0};
    u64 next_;
    u64 next_serial_ = 1;
    std::atomic<u64> generation_{1};
    mutable std::shared_mutex mutex_;
    std::map<u64, std::unique_ptr<Allocation>> allocations_;  // by base, released ones too
    std::deque<u64> released_;                                // bases, the oldest first
};

}  // namespace warpwright::emulator
