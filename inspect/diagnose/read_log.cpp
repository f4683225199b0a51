// SPDX-License-Identifier: Apache-2.0
// Bytes of a file, of the standard input, of a file that grows.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "image/file_descriptor.h"
#include "inspect/diagnose/diagnose.h"

namespace warpwright::diagnose {
namespace {

constexpr int kPoll_ms = 100;

Result<FileDescriptor> open_log(const std::string& path) {
    if (path == "-") return FileDescriptor(dup(STDIN_FILENO));
    FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (file.get() < 0) return caller_error(fmt::format("{}: {}", path, std::strerror(errno)));
    struct stat about {};
    if (fstat(file.get(), &about) == 0 && S_ISDIR(about.st_mode))
        return caller_error(fmt::format("{}: expected a log file, got a folder", path));
    return file;
}

// Waits for something to read; a pipe whose writer is gone has an end to read.
bool is_ready(const FileDescriptor& file) {
    pollfd wanted{file.get(), POLLIN, 0};
    return poll(&wanted, 1, kPoll_ms) > 0;
}

// The number of bytes that were there: 0 at the end, for now or for good.
Result<size_t> read_some(const std::string& path, const FileDescriptor& file, Diagnoser& diagnoser) {
    const std::span<char> room = diagnoser.room();
    for (;;) {
        const ssize_t got = read(file.get(), room.data(), room.size());
        if (got >= 0) {
            diagnoser.filled(static_cast<size_t>(got));
            return static_cast<size_t>(got);
        }
        if (errno == EAGAIN)
            is_ready(file);  // a terminal or pipe that somebody else made non-blocking
        else if (errno != EINTR)
            return unavailable(fmt::format("{}: {}", path, std::strerror(errno)));
    }
}

Status follow_pipe(const FileDescriptor& file, Diagnoser& diagnoser, const std::function<bool()>& stop) {
    while (!stop()) {
        if (!is_ready(file)) continue;
        WW_ASSIGN(const size_t got, read_some("-", file, diagnoser));
        if (got == 0) break;
        diagnoser.pause();
    }
    return {};
}

// Another file of the same name, or the same one cut down.
bool is_replaced(const std::string& path, const FileDescriptor& file) {
    struct stat now {
    }, ours{};
    if (stat(path.c_str(), &now) != 0 || fstat(file.get(), &ours) != 0) return false;
    return now.st_ino != ours.st_ino || now.st_dev != ours.st_dev ||
           ours.st_size < lseek(file.get(), 0, SEEK_CUR);
}

}  // namespace

Status read_log(const std::string& path, Diagnoser& diagnoser, const std::function<bool()>& stop) {
    WW_ASSIGN(const FileDescriptor file, open_log(path));
    diagnoser.begin(path);
    while (!stop()) {
        WW_ASSIGN(const size_t got, read_some(path, file, diagnoser));
        if (got == 0) break;
    }
    diagnoser.finish();
    return {};
}

Status follow_log(const std::string& path, Diagnoser& diagnoser, const std::function<bool()>& stop) {
    WW_ASSIGN(FileDescriptor file, open_log(path));
    diagnoser.begin(path);
    if (path == "-") {
        const Status status = follow_pipe(file, diagnoser, stop);
        diagnoser.finish();
        return status;
    }
    while (!stop()) {
        WW_ASSIGN(const size_t got, read_some(path, file, diagnoser));
        if (got > 0) continue;
        diagnoser.pause();
        if (is_replaced(path, file)) {
            auto next = open_log(path);
            if (next.ok()) {  // else it is being replaced this moment
                // What was written to the old one between the last look and its end.
                for (;;) {
                    WW_ASSIGN(const size_t rest, read_some(path, file, diagnoser));
                    if (rest == 0) break;
                }
                diagnoser.finish();
                file = std::move(next).value();
                diagnoser.begin(path);
                continue;
            }
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(kPoll_ms));
    }
    diagnoser.finish();
    return {};
}

}  // namespace warpwright::diagnose
