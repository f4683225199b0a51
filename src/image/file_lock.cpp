// SPDX-License-Identifier: Apache-2.0
#include "image/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

namespace warpwright {
namespace {

// A holder that was stopped, or a broken lock on a network file system, must not hang everybody.
constexpr auto kMaxWait = std::chrono::minutes(2);

Status os_error(std::string_view action, const std::string& path) {
    return unavailable(fmt::format("{} {}: {}", action, path, std::strerror(errno)));
}

}  // namespace

FileLock::~FileLock() {
    if (fd_.get() < 0) return;
    ::unlink(path_.c_str());
    // A child forked meanwhile shares the descriptor: closing it here alone would leave the lock held.
    ::flock(fd_.get(), LOCK_UN);
}

Result<FileLock> FileLock::acquire(std::string path) {
    const auto deadline = std::chrono::steady_clock::now() + kMaxWait;
    auto pause = std::chrono::milliseconds(1);
    while (true) {
        FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
        if (fd.get() < 0) return os_error("cannot open", path);
        while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno == EINTR) continue;
            if (errno != EWOULDBLOCK) return os_error("cannot lock", path);
            if (std::chrono::steady_clock::now() > deadline)
                return unavailable(fmt::format("{} is held by another process for too long", path));
            std::this_thread::sleep_for(pause);
            pause = std::min(pause * 2, std::chrono::milliseconds(32));
        }
        // Its last holder may have removed the file between our open and our lock.
        struct stat ours {};
        struct stat current {};
        if (::fstat(fd.get(), &ours) == 0 && ::stat(path.c_str(), &current) == 0 &&
            ours.st_ino == current.st_ino && ours.st_dev == current.st_dev) {
            FileLock lock;
            lock.path_ = std::move(path);
            lock.fd_ = std::move(fd);
            return lock;
        }
    }
}

}  // namespace warpwright
