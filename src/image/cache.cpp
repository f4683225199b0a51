// SPDX-License-Identifier: Apache-2.0
#include "image/cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "image/encode.h"
#include "image/file_lock.h"
#include "image/sha256.h"

namespace warpwright {
namespace {

constexpr std::string_view kMagic = "WWIMG001";
constexpr std::size_t kHeaderBytes = 8 + 16;  // magic and version, checksum of the key and the payload
constexpr int kZstdLevel = 3;

std::string checksum(const std::string& key, std::string_view payload) {
    Sha256 hash;
    hash.field(key).field(payload);
    return short_digest(hash);
}

Status os_error(std::string_view action, const std::string& path) {
    return unavailable(fmt::format("{} {}: {}", action, path, std::strerror(errno)));
}

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

std::optional<std::string> read_all(const std::string& path) {
    FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info {};
    if (fd.get() < 0 || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
    std::string bytes(static_cast<std::size_t>(info.st_size), '\0');
    std::size_t filled = 0;
    while (filled < bytes.size()) {
        ssize_t count = ::read(fd.get(), bytes.data() + filled, bytes.size() - filled);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return std::nullopt;
        filled += static_cast<std::size_t>(count);
    }
    return bytes;
}

}  // namespace

std::string ImageCache::default_directory() {
    auto variable = [](const char* name) -> std::string {
        const char* value = std::getenv(name);
        return value == nullptr ? "" : value;
    };
    if (std::string named = variable("WARPWRIGHT_CACHE"); !named.empty()) return named;
    // The XDG base directory specification: relative paths are invalid and to be ignored.
    if (std::string base = variable("XDG_CACHE_HOME"); base.starts_with('/')) return base + "/warpwright";
    if (std::string home = variable("HOME"); !home.empty()) return home + "/.cache/warpwright";
    return {};
}

std::string ImageCache::path(const ImageKey& key, const char* suffix) const {
    return fmt::format("{}/{}{}", directory_, key.text(), suffix);
}

std::optional<Image> ImageCache::read_file(const std::string& path, const std::string& key) const {
    std::optional<std::string> file = read_all(path);
    if (!file || file->size() < kHeaderBytes || !file->starts_with(kMagic)) return std::nullopt;
    std::string_view payload = std::string_view(*file).substr(kHeaderBytes);
    if (file->compare(kMagic.size(), 16, checksum(key, payload)) != 0) return std::nullopt;
    std::optional<std::string> raw = zstd_decompress(payload);
    return raw ? decode_image(*raw) : std::nullopt;
}

std::optional<Image> ImageCache::read(const ImageKey& key) const {
    if (directory_.empty()) return std::nullopt;
    if (!key.compiler.empty()) return read_file(path(key, ".image"), key.text());

    std::error_code error;
    std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> found;
    for (std::filesystem::directory_iterator entry(directory_, error), end; !error && entry != end;
         entry.increment(error)) {
        if (!entry->path().filename().string().starts_with(key.hash + "-")) continue;
        if (entry->path().extension() != ".image") continue;
        std::error_code ignored;
        found.emplace_back(entry->last_write_time(ignored), entry->path());
    }
    std::sort(found.rbegin(), found.rend());
    for (const auto& [time, path] : found) {
        if (std::optional<Image> image = read_file(path.string(), path.stem().string())) return image;
    }
    return std::nullopt;
}

Status ImageCache::store(const ImageKey& key, const Image& image) const {
    std::string payload = zstd_compress(encode_image(image), kZstdLevel);
    std::string temporary = path(key, ".tmp");
    auto failed = [&](std::string_view action, const std::string& path) {
        Status status = os_error(action, path);
        ::unlink(temporary.c_str());
        return status;
    };
    FileDescriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (fd.get() < 0) return failed("cannot create", temporary);
    std::string header = std::string(kMagic) + checksum(key.text(), payload);
    bool written = write_all(fd.get(), header) && write_all(fd.get(), payload);
    // Before the rename: after a crash of the machine an entry is whole or absent.
    if (!written || ::fsync(fd.get()) != 0 || fd.close() != 0) return failed("cannot write", temporary);
    std::string entry = path(key, ".image");
    if (::rename(temporary.c_str(), entry.c_str()) != 0) return failed("cannot rename to", entry);
    return {};
}

Result<ImageCache::Fetched> ImageCache::get(const ImageKey& key,
                                            const std::function<Result<Image>()>& make) const {
    if (std::optional<Image> image = read(key)) return Fetched{std::move(*image), true, {}};

    Status problem;
    FileLock lock;
    std::error_code error;
    if (directory_.empty()) {
        problem = unavailable("none of WARPWRIGHT_CACHE, XDG_CACHE_HOME and HOME is set");
    } else if (std::filesystem::create_directories(directory_, error); error) {
        problem = unavailable(fmt::format("cannot create {}: {}", directory_, error.message()));
    } else if (Result<FileLock> taken = FileLock::acquire(path(key, ".lock")); !taken.ok()) {
        problem = taken.status();
    } else {
        lock = std::move(taken).value();
        // Whoever held the lock before may have made it.
        if (std::optional<Image> image = read(key)) return Fetched{std::move(*image), true, {}};
    }
    Result<Image> made = make();
    if (!made.ok()) return made.status();
    if (problem.ok()) problem = store(key, made.value());
    return Fetched{std::move(made).value(), false, problem.message()};
}

}  // namespace warpwright
