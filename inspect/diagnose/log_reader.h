// SPDX-License-Identifier: Apache-2.0
// A log as a stream of any size: finds the lines that hold a literal and hands each over with the lines
// around it. Memory is one buffer; the answer does not depend on how the bytes arrived.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "inspect/diagnose/literals.h"

namespace warpwright::diagnose {

// Views into the reader's buffer: they end with the call.
struct LogLine {
    u64 number = 0;           // of line ends, from 1
    std::string_view text;    // without its end; a progress bar's \r ends a line too, but does not count
    u64 offset = 0;           // in the log, of the text
    bool cut = false;         // longer than kMaxLineBytes: the part around the literal
    size_t num_seen = 0;      // of the text, were in the part of this line that was handed over before
    bool ends_log = false;    // nothing but space comes after it
    std::string_view before;  // whole text before the line, at most kContextBefore bytes
    std::string_view after;   // and after it
};

class LogReader {
public:
    static constexpr size_t kMaxLineBytes = 16 << 10;
    static constexpr size_t kContextBefore = 16 << 10;
    static constexpr size_t kContextAfter = 4 << 10;

    // `scanner` outlives the reader.
    LogReader(const LiteralScanner& scanner, std::function<void(const LogLine&)> sink);

    // Where to write the next bytes of the log, never empty; then how many were written.
    std::span<char> room();
    void filled(size_t num_bytes);

    // For a log that grows: what is there up to the last line end is handled without waiting for more
    // context.
    void pause();
    // The end of the log; the next bytes begin another one, with line 1.
    void finish();

    u64 num_bytes() const { return num_bytes_; }  // of this log

private:
    void handle(size_t end, bool is_final);
    void count_lines(size_t end);
    std::string_view text() const { return {buffer_.get(), size_}; }

    const LiteralScanner& scanner_;
    std::function<void(const LogLine&)> sink_;
    std::unique_ptr<char[]> buffer_;
    size_t size_ = 0;     // of what is in the buffer
    size_t done_ = 0;     // literals that begin before were handled
    size_t counted_ = 0;  // line ends before are in line_
    size_t seen_ = 0;     // where the last part of a line that was cut ends
    u64 line_ = 1;
    u64 num_bytes_ = 0;
};

}  // namespace warpwright::diagnose
