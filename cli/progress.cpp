// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace warpwright::cli {

using Clock = std::chrono::steady_clock;

Progress::Progress(std::string what)
    : what_(std::move(what)), start_(Clock::now()), last_(start_), terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::finish() {
    if (shown_) fmt::print(stderr, "\r\033[K");
    shown_ = false;
}

void Progress::update(i64 done_bytes, i64 total_bytes) {
    const auto now = Clock::now();
    const double elapsed_s = std::chrono::duration<double>(now - start_).count();
    const double since_s = std::chrono::duration<double>(now - last_).count();
    if (!terminal_ || done_bytes == 0 || elapsed_s < 0.5 || since_s < 0.1) return;
    last_ = now;
    shown_ = true;
    constexpr int kWidth = 30;
    const double share =
        total_bytes == 0 ? 1 : static_cast<double>(done_bytes) / static_cast<double>(total_bytes);
    const double rate = static_cast<double>(done_bytes) / elapsed_s;
    const int full = static_cast<int>(share * kWidth);
    fmt::print(stderr, "\r\033[K{} [{}{}] {:3.0f}%  {:.2f} of {:.2f} GB  {:.2f} GB/s  {:.0f} s left", what_,
               std::string(static_cast<std::size_t>(full), '#'),
               std::string(static_cast<std::size_t>(kWidth - full), '.'), share * 100,
               static_cast<double>(done_bytes) * 1e-9, static_cast<double>(total_bytes) * 1e-9, rate * 1e-9,
               static_cast<double>(total_bytes - done_bytes) / rate);
    std::fflush(stderr);
}

StepProgress::StepProgress(std::string what, int steps)
    : what_(std::move(what)), start_(Clock::now()), steps_(steps), terminal_(isatty(STDERR_FILENO) == 1) {}

void StepProgress::next(const std::string& step) {
    const int done = begun_++;
    const auto now = Clock::now();
    if (!terminal_ || now - last_ < std::chrono::milliseconds(50)) return;
    last_ = now;
    const double elapsed_s = std::chrono::duration<double>(now - start_).count();
    const std::string left =
        done == 0 ? "" : fmt::format("  {:.0f} s left", elapsed_s / done * (steps_ - done));
    fmt::print(stderr, "\r\033[K{} {}/{}{}  {}", what_, begun_, steps_, left, step);
    std::fflush(stderr);
    shown_ = true;
}

void StepProgress::clear() {
    if (shown_) fmt::print(stderr, "\r\033[K");
    shown_ = false;
}

}  // namespace warpwright::cli
