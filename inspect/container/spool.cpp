// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace warpwright::inspect {
namespace {

constexpr u64 kFirstBytes = u64{256} << 10, kMostMoreBytes = u64{32} << 20;

Result<int> temporary_file() {
    std::error_code error;
    const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
    if (error) return unavailable(fmt::format("no folder for temporary files: {}", error.message()));
    int file = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0) {  // some file systems cannot make one without a name
        std::string name = folder / "warpwright-XXXXXX";
        file = mkostemp(name.data(), O_CLOEXEC);
        if (file >= 0) unlink(name.c_str());
    }
    if (file < 0)
        return unavailable(fmt::format("{}: no temporary file: {}", folder.string(), std::strerror(errno)));
    return file;
}

}  // namespace

bool MemoryBudget::take(u64 bytes) {
    u64 left = left_;
    do {
        if (left < bytes) return false;
    } while (!left_.compare_exchange_weak(left, left - bytes));
    return true;
}

Spool::~Spool() {
    release();
    if (file_ >= 0) close(file_);
}

void Spool::release() {
    if (memory_ == nullptr) return;
    munmap(memory_, mapped_);
    if (!is_file_) budget_.give(mapped_);
    memory_ = nullptr;
    mapped_ = 0;
}

// Memory for `bytes` more; false: not within the budget.
bool Spool::grow(u64 bytes) {
    u64 more = std::max(bytes, std::clamp(mapped_, kFirstBytes, kMostMoreBytes));
    more = (more + kFirstBytes - 1) / kFirstBytes * kFirstBytes;
    if (!budget_.take(more)) return false;
    void* memory = memory_ == nullptr
                       ? mmap(nullptr, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                       : mremap(memory_, mapped_, mapped_ + more, MREMAP_MAYMOVE);
    if (memory == MAP_FAILED) {
        budget_.give(more);
        return false;
    }
    memory_ = static_cast<std::byte*>(memory);
    mapped_ += more;
    return true;
}

Status Spool::append(Bytes bytes) {
    if (!is_file_) {
        if (bytes.size() <= mapped_ - used_ || grow(bytes.size() - (mapped_ - used_))) {
            std::copy(bytes.begin(), bytes.end(), memory_ + used_);
            used_ += bytes.size();
            return {};
        }
        WW_TRY(move_to_file());
    }
    return append_to_file(bytes);
}

Status Spool::move_to_file() {
    const u64 in_memory = std::exchange(used_, 0);
    const Status status = in_memory > 0 ? append_to_file(Bytes(memory_, in_memory)) : Status{};
    release();
    is_file_ = true;
    return status;
}

Status Spool::append_to_file(Bytes bytes) {
    if (file_ < 0) {
        WW_ASSIGN(file_, temporary_file());
    }
    while (!bytes.empty()) {
        const ssize_t written = write(file_, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0)
            return unavailable(fmt::format("cannot write a temporary file: {}", std::strerror(errno)));
        bytes = bytes.subspan(static_cast<size_t>(written));
        used_ += static_cast<u64>(written);
    }
    return {};
}

Result<Bytes> Spool::finish() {
    if (is_file_ && used_ > 0 && memory_ == nullptr) {
        void* memory = mmap(nullptr, used_, PROT_READ, MAP_PRIVATE, file_, 0);
        if (memory == MAP_FAILED)
            return unavailable(fmt::format("a temporary file cannot be mapped: {}", std::strerror(errno)));
        memory_ = static_cast<std::byte*>(memory);
        mapped_ = used_;
    }
    return Bytes(memory_, used_);
}

}  // namespace warpwright::inspect
