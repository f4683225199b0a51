// SPDX-License-Identifier: Apache-2.0
// A file of the disk as read-only memory, for as long as the object lives.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

class MappedFile {
public:
    // Not there or not a regular file: caller error. An empty file maps to no bytes.
    static Result<MappedFile> open(const std::filesystem::path& path);

    MappedFile(MappedFile&& other) noexcept { swap(other); }
    MappedFile& operator=(MappedFile&& other) noexcept {
        swap(other);
        return *this;
    }
    ~MappedFile();

    const std::string& path() const { return path_; }
    std::span<const std::byte> bytes() const { return bytes_; }

    // The file's bytes from `offset` on, copied by the system: faster than from the mapping, which costs a
    // fault for every few pages, and an error instead of a signal where the file has shrunk or the disk
    // fails. Thread-safe.
    Status read(u64 offset, std::span<std::byte> to) const;

private:
    MappedFile(std::string path, int file) : path_(std::move(path)), file_(file) {}
    void swap(MappedFile& other) noexcept {
        path_.swap(other.path_);
        std::swap(file_, other.file_);
        std::swap(bytes_, other.bytes_);
    }

    std::string path_;
    int file_ = -1;
    std::span<const std::byte> bytes_;
};

}  // namespace warpwright
