// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <mutex>

#include <fmt/format.h>

#include "device/cuda.h"
#include "device/cuda_api.h"
#include "device/external_memory.h"
#include "device/host.h"
#include "device/registry.h"
#include "warpwright/device.h"

namespace warpwright {
namespace {

std::vector<std::string> list_cuda() {
    std::vector<std::string> ids;
    const auto api = cuda_api();
    if (!api.ok()) return ids;
    const auto count = cuda_device_count(**api);
    for (int i = 0; count.ok() && i < *count; ++i) ids.push_back(fmt::format("cuda:{}", i));
    return ids;
}

Result<std::shared_ptr<Device>> open_cuda(std::string_view argument) {
    int ordinal = 0;
    if (!argument.empty()) {
        const char* end = argument.data() + argument.size();
        const auto [parsed, error] = std::from_chars(argument.data(), end, ordinal);
        if (error != std::errc{} || parsed != end || ordinal < 0) {
            return caller_error(fmt::format("device: cuda:{}: expected the number of a GPU", argument));
        }
    }
    WW_ASSIGN(const CudaApi* api, cuda_api());
    return open_cuda_device(*api, ordinal);
}

std::vector<std::string> list_cpu() {
    return {"cpu"};
}

Result<std::shared_ptr<Device>> open_cpu(std::string_view argument) {
    if (!argument.empty()) return caller_error(fmt::format("device: cpu:{}: expected cpu alone", argument));
    return open_host_device();
}

Result<std::shared_ptr<Device>> open_emulated(std::string_view argument) {
    return unavailable(
        fmt::format("device: emulated:{}: this program is linked without the emulator", argument));
}

Result<std::shared_ptr<Device>> open_auto(std::string_view argument) {
    if (!argument.empty()) return caller_error(fmt::format("device: auto:{}: expected auto alone", argument));
    return list_cuda().empty() ? open_host_device() : open_cuda("0");
}

struct Registry {
    std::mutex mutex;
    std::vector<DeviceKind> kinds = {
        {"auto", "auto", open_auto, nullptr},
        {"cuda", "cuda:N", open_cuda, list_cuda},
        {"cpu", "cpu", open_cpu, list_cpu},
        {"emulated", "emulated:GPU", open_emulated, nullptr},
    };
};

// A function's own, so that it exists whichever file registers first.
Registry& registry() {
    static Registry instance;
    return instance;
}

}  // namespace

bool register_device_kind(DeviceKind kind) {
    Registry& known = registry();
    std::lock_guard lock(known.mutex);
    for (DeviceKind& other : known.kinds) {
        if (other.prefix != kind.prefix) continue;
        other = std::move(kind);
        return true;
    }
    known.kinds.push_back(std::move(kind));
    return true;
}

std::vector<DeviceKind> device_kinds() {
    Registry& known = registry();
    std::lock_guard lock(known.mutex);
    return known.kinds;
}

Result<std::shared_ptr<Device>> open_device(std::string_view name) {
    const std::string_view prefix = name.substr(0, name.find(':'));
    const bool has_colon = prefix.size() < name.size();
    const std::string_view argument = has_colon ? name.substr(prefix.size() + 1) : std::string_view{};
    std::string forms;
    for (const DeviceKind& kind : device_kinds()) {
        if (kind.prefix == prefix && !(has_colon && argument.empty())) return kind.open(argument);
        forms += (forms.empty() ? "" : ", ") + kind.form;
    }
    std::string here;
    for (const std::string& id : list_devices().ids) here += (here.empty() ? "" : ", ") + id;
    return caller_error(
        fmt::format("device: \"{}\" is no device: expected {}; this machine has {}", name, forms, here));
}

DeviceList list_devices() {
    DeviceList list;
    for (const DeviceKind& kind : device_kinds()) {
        if (kind.list == nullptr) continue;
        for (std::string& id : kind.list()) list.ids.push_back(std::move(id));
    }
    const auto api = cuda_api();
    const Status status = api.ok() ? cuda_device_count(**api).status() : api.status();
    if (!status.ok()) list.cuda_problem = status.message();
    return list;
}

Result<void*> Device::allocate(std::size_t bytes) {
    if (external_ == nullptr) return allocate_own(bytes);
    Result<void*> pointer = unavailable("");
    while_current([&] { pointer = external_->allocate(id(), bytes); });
    return pointer;
}

void Device::release(void* pointer) {
    if (external_ == nullptr) return release_own(pointer);
    while_current([&] { external_->release(pointer); });
}

Status Device::use_allocator(const Allocator& allocator) {
    if (allocator.allocate == nullptr || allocator.release == nullptr)
        return caller_error(id() + ": allocator: expected both of its functions, got null");
    if (!takes_allocator()) return caller_error(id() + ": allocator: its memory is simulated, expected none");
    if (external_ != nullptr) return caller_error(id() + ": allocator: it has one already");
    external_ = std::make_shared<ExternalMemory>(allocator);
    return {};
}

Result<void*> Device::allocate_pinned(std::size_t bytes) {
    constexpr std::size_t kPage = 4096;
    const std::size_t rounded = (std::max<std::size_t>(bytes, 1) + kPage - 1) / kPage * kPage;
    void* pointer = rounded < bytes ? nullptr : std::aligned_alloc(kPage, rounded);
    if (pointer == nullptr)
        return unavailable(fmt::format("{}: out of memory allocating {} bytes of host memory", id(), bytes));
    return pointer;
}

void Device::release_pinned(void* pointer) {
    std::free(pointer);
}

Result<Buffer> Buffer::allocate(std::shared_ptr<Device> device, std::size_t bytes) {
    Buffer buffer;
    WW_ASSIGN(buffer.data_, device->allocate(bytes));
    buffer.device_ = std::move(device);
    buffer.bytes_ = bytes;
    return buffer;
}

Result<Buffer> Buffer::allocate_pinned(std::shared_ptr<Device> device, std::size_t bytes) {
    Buffer buffer;
    WW_ASSIGN(buffer.data_, device->allocate_pinned(bytes));
    buffer.device_ = std::move(device);
    buffer.bytes_ = bytes;
    buffer.pinned_ = true;
    return buffer;
}

}  // namespace warpwright
