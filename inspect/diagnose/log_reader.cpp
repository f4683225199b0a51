// SPDX-License-Identifier: Apache-2.0
#include "inspect/diagnose/log_reader.h"

#include <algorithm>
#include <cstring>

namespace warpwright::diagnose {
namespace {

constexpr size_t kBufferBytes = 1 << 20;
constexpr size_t kHalfLine = LogReader::kMaxLineBytes / 2;
// What has to be there behind a literal to know its line and the context after it, and before it.
constexpr size_t kBehind = kHalfLine + LogReader::kContextAfter;
constexpr size_t kAhead = kHalfLine + LogReader::kContextBefore;
// Parts of a line that is cut overlap: a message on the border is whole in one of them.
constexpr size_t kOverlap = 2 << 10;
static_assert(kOverlap < kHalfLine && kAhead + kBehind < kBufferBytes / 2);

bool ends_line(char c) {
    return c == '\n' || c == '\r';
}

// A loop that the compiler makes wide: sums of bytes, kept short enough not to overflow.
u64 count_line_ends(const char* from, const char* to) {
    u64 count = 0;
    while (from < to) {
        const char* const end = from + std::min<std::ptrdiff_t>(to - from, 128);
        u8 some = 0;
        for (; from < end; ++from) some = static_cast<u8>(some + (*from == '\n'));
        count += some;
    }
    return count;
}

}  // namespace

LogReader::LogReader(const LiteralScanner& scanner, std::function<void(const LogLine&)> sink)
    : scanner_(scanner),
      sink_(std::move(sink)),
      buffer_(std::make_unique_for_overwrite<char[]>(kBufferBytes)) {}

std::span<char> LogReader::room() {
    if (size_ == kBufferBytes) {
        // A full buffer is handled but for its last kBehind bytes: there is always something to forget.
        const size_t forget = done_ - std::min(done_, kAhead);
        count_lines(forget);
        std::memmove(buffer_.get(), buffer_.get() + forget, size_ - forget);
        size_ -= forget;
        done_ -= forget;
        counted_ -= forget;
        seen_ -= std::min(seen_, forget);
    }
    return {buffer_.get() + size_, kBufferBytes - size_};
}

void LogReader::filled(size_t num_bytes) {
    size_ += num_bytes;
    num_bytes_ += num_bytes;
    if (size_ == kBufferBytes) handle(size_ - kBehind, false);
}

void LogReader::pause() {
    const size_t line_end = text().rfind('\n');
    if (line_end != std::string_view::npos) handle(line_end, false);
}

void LogReader::finish() {
    handle(size_, true);
    size_ = done_ = counted_ = seen_ = 0;
    num_bytes_ = 0;
    line_ = 1;
}

void LogReader::count_lines(size_t end) {
    if (end <= counted_) return;
    line_ += count_line_ends(buffer_.get() + counted_, buffer_.get() + end);
    counted_ = end;
}

void LogReader::handle(size_t end, bool is_final) {
    const std::string_view all = text();
    while (done_ < end) {
        const size_t hit = scanner_.find(all, done_, end);
        if (hit >= end) break;
        const size_t lowest = hit - std::min(hit, kHalfLine);
        const size_t highest = std::min(hit + kHalfLine, all.size());
        size_t begin = hit, behind = hit;
        while (begin > lowest && !ends_line(all[begin - 1])) --begin;
        while (behind < highest && !ends_line(all[behind])) ++behind;
        const bool cut_left = begin > 0 && !ends_line(all[begin - 1]);
        const bool cut_right = behind < all.size() && !ends_line(all[behind]);
        count_lines(begin);
        LogLine line;
        line.number = line_;
        line.text = all.substr(begin, behind - begin);
        line.offset = num_bytes_ - size_ + begin;
        line.num_seen = cut_left && seen_ > begin ? seen_ - begin : 0;
        line.cut = cut_left || cut_right;
        const size_t context = begin - std::min(begin, kContextBefore);
        line.before = all.substr(context, begin - context);
        line.after = all.substr(behind, kContextAfter);
        line.ends_log = is_final && all.find_first_not_of(" \t\r\n", behind) == std::string_view::npos;
        sink_(line);
        if (cut_right) seen_ = behind;
        done_ = cut_right ? std::max(hit + 1, behind - kOverlap) : behind;
    }
    done_ = std::max(done_, end);
}

}  // namespace warpwright::diagnose
