// SPDX-License-Identifier: Apache-2.0
// Files that are written piece by piece, and appear under their names when they are complete.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "image/file_descriptor.h"
#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

// One file under its final size, written and read anywhere by any thread. Errors name the file.
class OutputFile {
public:
    static Result<OutputFile> open(const std::filesystem::path& path, i64 bytes);

    Status write(i64 offset, std::span<const std::byte> bytes) const;
    Status read(i64 offset, std::span<std::byte> bytes) const;
    // To the disk, closed, and renamed.
    Status finish(const std::filesystem::path& as);

private:
    std::filesystem::path path_;
    FileDescriptor fd_;
};

Status write_failed(const std::filesystem::path& path);  // errno's reason

// A whole file, by way of PATH.new.
Status write_text_file(const std::filesystem::path& path, const std::string& text);

}  // namespace warpwright
