// SPDX-License-Identifier: Apache-2.0
// A file of the disk as read-only memory, for as long as the object lives.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <utility>

#include "warpwright/status.h"

namespace warpwright {

class MappedFile {
public:
    // Not there or not a regular file: caller error. An empty file maps to no bytes.
    static Result<MappedFile> open(const std::filesystem::path& path);

    MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    MappedFile& operator=(MappedFile&& other) noexcept {
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~MappedFile();

    std::span<const std::byte> bytes() const { return bytes_; }

private:
    explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
    std::span<const std::byte> bytes_;
};

}  // namespace warpwright
