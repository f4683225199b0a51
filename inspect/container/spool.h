// SPDX-License-Identifier: Apache-2.0
// Where a member of an archive is expanded to: memory while a budget lasts, then a temporary file without a
// name. It grows with what comes out, not with what an archive says.
#pragma once

#include <atomic>

#include "inspect/bytes.h"
#include "warpwright/status.h"

namespace warpwright::inspect {

class MemoryBudget {
public:
    explicit MemoryBudget(u64 bytes) : left_(bytes) {}
    bool take(u64 bytes);
    void give(u64 bytes) { left_ += bytes; }
    u64 left() const { return left_; }

private:
    std::atomic<u64> left_;
};

class Spool {
public:
    // `expected_bytes` only decides where to begin.
    Spool(MemoryBudget& budget, u64 expected_bytes)
        : budget_(budget), is_file_(expected_bytes > budget.left()) {}
    ~Spool();
    Spool(const Spool&) = delete;
    Spool& operator=(const Spool&) = delete;

    Status append(Bytes bytes);
    // All that was appended, for as long as the spool lives.
    Result<Bytes> finish();

private:
    Status append_to_file(Bytes bytes);
    Status move_to_file();
    bool grow(u64 bytes);
    void release();

    MemoryBudget& budget_;
    bool is_file_;
    int file_ = -1;
    std::byte* memory_ = nullptr;
    u64 mapped_ = 0, used_ = 0;
};

}  // namespace warpwright::inspect
