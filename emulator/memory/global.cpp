// SPDX-License-Identifier: Apache-2.0
#include "emulator/memory/global.h"

#include <cstdlib>
#include <cstring>
#include <mutex>

#include <fmt/format.h>

namespace warpwright::emulator {
namespace {

constexpr u64 kAlignment = 256;
// Between two allocations: an index that is wrong by less is outside of all of them.
constexpr u64 kGap = 1ull << 30;
// Freed allocations that are remembered, to say of which one an address was.
constexpr std::size_t kMaxReleased = 4096;
constexpr u8 kPoison = 0xff;

std::string bytes_text(u64 bytes) {
    return fmt::format("{} {}", bytes, bytes == 1 ? "byte" : "bytes");
}

std::string name_of(const Allocation& allocation) {
    return fmt::format("{} {} of {}", allocation.is_imported ? "imported array" : "allocation",
                       allocation.serial, bytes_text(allocation.bytes));
}

Finding finding_of(FindingKind kind, u64 address, std::string text) {
    Finding finding;
    finding.kind = kind;
    finding.address = address;
    finding.text = std::move(text);
    return finding;
}

void free_bytes(Allocation& allocation) {
    if (!allocation.is_imported) std::free(allocation.data);
    std::free(allocation.shadow);
    allocation.data = nullptr;
    allocation.shadow = nullptr;
}

void mark_written(const Allocation& allocation, u64 offset, u64 bytes) {
    if (allocation.shadow != nullptr) std::memset(allocation.shadow + offset, kShadowWritten, bytes);
}

}  // namespace

GlobalMemory::GlobalMemory(int device, u64 capacity_bytes)
    : device_(device), capacity_bytes_(capacity_bytes), next_(device_start(device) + kGap) {}

GlobalMemory::~GlobalMemory() {
    for (auto& [base, allocation] : allocations_) free_bytes(*allocation);
}

Result<u64> GlobalMemory::allocate(u64 bytes) {
    // Reserved first: of two callers at once only those get memory that fit together.
    u64 used = used_bytes_.load();
    do {
        if (bytes > capacity_bytes_ - used)
            return unavailable(
                fmt::format("emulated device {}: out of memory allocating {}, {} of {} are free", device_,
                            bytes_text(bytes), capacity_bytes_ - used, capacity_bytes_));
    } while (!used_bytes_.compare_exchange_weak(used, used + bytes));

    auto allocation = std::make_unique<Allocation>();
    allocation->bytes = bytes;
    const u64 rounded = (std::max<u64>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
    allocation->data = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded));
    allocation->shadow = static_cast<u8*>(std::calloc(rounded, 1));  // pages appear when they are written
    if (allocation->data == nullptr || allocation->shadow == nullptr) {
        free_bytes(*allocation);
        used_bytes_ -= bytes;
        return unavailable(
            fmt::format("emulated device {}: the host has no memory for {}", device_, bytes_text(bytes)));
    }
    std::memset(allocation->data, kPoison, bytes);
    return add(std::move(allocation));
}

Result<u64> GlobalMemory::import(void* data, u64 bytes, bool read_only) {
    if (data == nullptr && bytes > 0)
        return caller_error(fmt::format("import: expected the address of {}, got null", bytes_text(bytes)));
    auto allocation = std::make_unique<Allocation>();
    allocation->bytes = bytes;
    allocation->data = static_cast<std::byte*>(data);
    allocation->is_read_only = read_only;
    allocation->is_imported = true;
    return add(std::move(allocation));
}

Result<u64> GlobalMemory::add(std::unique_ptr<Allocation> allocation) {
    const std::unique_lock lock(mutex_);
    // An odd multiple of kAlignment: kernels must not get used to more. Imported arrays keep the caller's.
    u64 base = (next_ + 2 * kAlignment - 1) / (2 * kAlignment) * (2 * kAlignment) + kAlignment;
    if (allocation->is_imported) base += reinterpret_cast<std::uintptr_t>(allocation->data) % kAlignment;
    const u64 end = device_start(device_) + kDeviceStride;
    if (base > end - kGap || allocation->bytes > end - kGap - base) {
        if (!allocation->is_imported) used_bytes_ -= allocation->bytes;
        free_bytes(*allocation);
        return unavailable(fmt::format("emulated device {}: its range of addresses is used up", device_));
    }
    allocation->base = base;
    allocation->serial = next_serial_++;
    next_ = base + allocation->bytes + kGap;
    allocations_.emplace(base, std::move(allocation));
    generation_.fetch_add(1, std::memory_order_release);
    return base;
}

Status GlobalMemory::release(u64 address) {
    if (address == 0) return {};
    const std::unique_lock lock(mutex_);
    const auto found = allocations_.find(address);
    if (found == allocations_.end())
        return caller_error(
            fmt::format("release: expected the start of an allocation of emulated device {}, got {:#x}",
                        device_, address));
    Allocation& allocation = *found->second;
    if (allocation.is_released)
        return caller_error(
            fmt::format("release: {} at {:#x} was released before", name_of(allocation), address));
    allocation.is_released = true;
    free_bytes(allocation);
    if (!allocation.is_imported) used_bytes_ -= allocation.bytes;
    released_.push_back(address);
    forget_released();
    generation_.fetch_add(1, std::memory_order_release);
    return {};
}

void GlobalMemory::forget_released() {
    while (released_.size() > kMaxReleased) {
        allocations_.erase(released_.front());
        released_.pop_front();
    }
}

const Allocation* GlobalMemory::find_locked(u64 address, u64 bytes) const {
    auto next = allocations_.upper_bound(address);
    if (next == allocations_.begin()) return nullptr;
    const Allocation& allocation = *std::prev(next)->second;
    if (allocation.is_released || bytes > allocation.bytes) return nullptr;
    return address - allocation.base <= allocation.bytes - bytes ? &allocation : nullptr;
}

const Allocation* GlobalMemory::find(u64 address, u64 bytes) const {
    const std::shared_lock lock(mutex_);
    return find_locked(address, bytes);
}

Finding GlobalMemory::explain(u64 address, u64 bytes) const {
    const auto window = [&](u64 start, u64 size, const char* name) -> std::optional<Finding> {
        if (address < start || address - start >= size) return {};
        return finding_of(
            FindingKind::out_of_bounds, address,
            fmt::format("an address of {} memory (offset {}), not of global memory", name, address - start));
    };
    if (address < (1u << 16))
        return finding_of(FindingKind::out_of_bounds, address,
                          address == 0 ? "a null pointer" : fmt::format("a null pointer plus {}", address));
    if (auto found = window(kSharedWindow, kSharedWindowBytes, "shared")) return *found;
    if (auto found = window(kLocalWindow, kLocalWindowBytes, "local")) return *found;
    if (auto found = window(kParamWindow, kParamWindowBytes, "param")) return *found;
    if (auto found = window(kConstantWindow, kConstantWindowBytes, "const")) return *found;
    if (address < kDeviceStart || address >= device_start(256)) {
        const bool is_host = address < kDeviceStart;
        return finding_of(FindingKind::foreign_address, address,
                          is_host ? "a host address, or no address at all" : "no address of any memory");
    }
    const int owner = static_cast<int>((address - kDeviceStart) / kDeviceStride);
    if (owner != device_)
        return finding_of(
            FindingKind::foreign_address, address,
            fmt::format("an address of emulated device {}; the kernel runs on device {}", owner, device_));

    const std::shared_lock lock(mutex_);
    const auto next = allocations_.upper_bound(address);
    const Allocation* before = next == allocations_.begin() ? nullptr : std::prev(next)->second.get();
    const Allocation* after = next == allocations_.end() ? nullptr : next->second.get();
    const auto released = [](const Allocation& a) { return a.is_released ? ", which was released" : ""; };
    if (before != nullptr && address - before->base < before->bytes) {
        const u64 offset = address - before->base;
        if (before->is_released)
            return finding_of(FindingKind::use_after_free, address,
                              fmt::format("byte {} of {}, which was released", offset, name_of(*before)));
        return finding_of(FindingKind::out_of_bounds, address,
                          fmt::format("{} at byte {} of {}: {} past its end", bytes_text(bytes), offset,
                                      name_of(*before), bytes - (before->bytes - offset)));
    }
    const u64 past = before == nullptr ? ~0ull : address - (before->base + before->bytes);
    const u64 ahead = after == nullptr ? ~0ull : after->base - address;
    if (before == nullptr && after == nullptr)
        return finding_of(FindingKind::out_of_bounds, address, "the device has no allocation");
    const bool is_past = past <= ahead;
    const Allocation& nearest = is_past ? *before : *after;
    return finding_of(
        nearest.is_released ? FindingKind::use_after_free : FindingKind::out_of_bounds, address,
        fmt::format("{} {} {}{}", bytes_text(is_past ? past : ahead), is_past ? "past the end of" : "before",
                    name_of(nearest), released(nearest)));
}

Status GlobalMemory::range_error(const char* what, u64 address, u64 bytes) const {
    const Finding finding = explain(address, bytes);
    return caller_error(fmt::format("{}: expected {} of one allocation of emulated device {}, got {:#x}: {}",
                                    what, bytes_text(bytes), device_, address, finding.text));
}

Status GlobalMemory::write(u64 address, const void* from, u64 bytes) {
    if (bytes == 0) return {};
    {
        const std::shared_lock lock(mutex_);
        if (const Allocation* to = find_locked(address, bytes)) {
            if (to->is_read_only) return caller_error(fmt::format("write: {} is read-only", name_of(*to)));
            std::memcpy(to->data + (address - to->base), from, bytes);
            mark_written(*to, address - to->base, bytes);
            return {};
        }
    }
    return range_error("write", address, bytes);
}

Status GlobalMemory::read(u64 address, void* to, u64 bytes) const {
    if (bytes == 0) return {};
    {
        const std::shared_lock lock(mutex_);
        if (const Allocation* from = find_locked(address, bytes)) {
            std::memcpy(to, from->data + (address - from->base), bytes);
            return {};
        }
    }
    return range_error("read", address, bytes);
}

Status GlobalMemory::fill(u64 address, u8 value, u64 bytes) {
    if (bytes == 0) return {};
    {
        const std::shared_lock lock(mutex_);
        if (const Allocation* to = find_locked(address, bytes)) {
            if (to->is_read_only) return caller_error(fmt::format("fill: {} is read-only", name_of(*to)));
            std::memset(to->data + (address - to->base), value, bytes);
            mark_written(*to, address - to->base, bytes);
            return {};
        }
    }
    return range_error("fill", address, bytes);
}

Status GlobalMemory::copy(u64 to_address, u64 from_address, u64 bytes) {
    if (bytes == 0) return {};
    u64 wrong = from_address;
    {
        const std::shared_lock lock(mutex_);
        const Allocation* from = find_locked(from_address, bytes);
        const Allocation* to = find_locked(to_address, bytes);
        if (from != nullptr && to != nullptr) {
            if (to->is_read_only) return caller_error(fmt::format("copy: {} is read-only", name_of(*to)));
            const u64 from_offset = from_address - from->base, to_offset = to_address - to->base;
            std::memmove(to->data + to_offset, from->data + from_offset, bytes);
            if (from->shadow == nullptr)
                mark_written(*to, to_offset, bytes);
            else if (to->shadow != nullptr)
                std::memmove(to->shadow + to_offset, from->shadow + from_offset, bytes);
            return {};
        }
        if (from != nullptr) wrong = to_address;
    }
    return range_error("copy", wrong, bytes);
}

}  // namespace warpwright::emulator
