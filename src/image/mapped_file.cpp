// SPDX-License-Identifier: Apache-2.0
#include "image/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace warpwright {

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
    // O_NONBLOCK: a FIFO of this name must not hang the caller.
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return caller_error(fmt::format("{}: no such file", path.string()));
        return unavailable(fmt::format("{}: {}", path.string(), std::strerror(errno)));
    }
    MappedFile mapped(path.string(), file);
    struct stat info {};
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
        return caller_error(fmt::format("{}: not a file", path.string()));
    }
    const auto size = static_cast<std::size_t>(info.st_size);
    if (size == 0) return mapped;
    void* memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (memory == MAP_FAILED) {
        return unavailable(fmt::format("{}: cannot be mapped: {}", path.string(), std::strerror(errno)));
    }
    mapped.bytes_ = {static_cast<const std::byte*>(memory), size};
    return mapped;
}

MappedFile::~MappedFile() {
    if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    if (file_ >= 0) close(file_);
}

Status MappedFile::read(u64 offset, std::span<std::byte> to) const {
    std::size_t done = 0;
    while (done < to.size()) {
        const ssize_t count =
            pread(file_, to.data() + done, to.size() - done, static_cast<off_t>(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return unavailable(fmt::format("{}: {}", path_, std::strerror(errno)));
        if (count == 0) {
            return unavailable(fmt::format("{}: has no byte {} any more; it had {} bytes when it was opened",
                                           path_, offset + done, bytes_.size()));
        }
        done += static_cast<std::size_t>(count);
    }
    return {};
}

}  // namespace warpwright
