// SPDX-License-Identifier: Apache-2.0
#include "engine/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace warpwright {

namespace fs = std::filesystem;

Status write_failed(const fs::path& path) {
    return unavailable(fmt::format("{}: cannot be written: {}", path.string(), std::strerror(errno)));
}

Result<OutputFile> OutputFile::open(const fs::path& path, i64 bytes) {
    OutputFile file;
    file.path_ = path;
    file.fd_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (file.fd_.get() < 0 || ftruncate(file.fd_.get(), bytes) != 0) return write_failed(path);
    return file;
}

Status OutputFile::write(i64 offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
        const ssize_t done = pwrite(fd_.get(), bytes.data(), bytes.size(), offset);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return write_failed(path_);
        bytes = bytes.subspan(static_cast<std::size_t>(done));
        offset += done;
    }
    return {};
}

Status OutputFile::read(i64 offset, std::span<std::byte> bytes) const {
    while (!bytes.empty()) {
        const ssize_t done = pread(fd_.get(), bytes.data(), bytes.size(), offset);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) {
            return unavailable(fmt::format("{}: cannot be read: {}", path_.string(),
                                           done == 0 ? "it ends too early" : std::strerror(errno)));
        }
        bytes = bytes.subspan(static_cast<std::size_t>(done));
        offset += done;
    }
    return {};
}

Status OutputFile::finish(const fs::path& as) {
    if (fsync(fd_.get()) != 0 || fd_.close() != 0) return write_failed(path_);
    std::error_code error;
    fs::rename(path_, as, error);
    return error ? unavailable(fmt::format("{}: cannot be renamed: {}", path_.string(), error.message()))
                 : Status{};
}

Status write_text_file(const fs::path& path, const std::string& text) {
    const fs::path unfinished = path.string() + ".new";
    WW_ASSIGN(OutputFile file, OutputFile::open(unfinished, 0));
    WW_TRY(file.write(0, std::as_bytes(std::span(text))));
    return file.finish(path);
}

}  // namespace warpwright
