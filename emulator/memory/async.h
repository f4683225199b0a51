// SPDX-License-Identifier: Apache-2.0
// cp.async: copies that a lane issued and that have not landed. They land, in the order they were issued,
// when the lane waits for their group, and no earlier: a kernel that reads too soon finds what was there
// before, and with CheckLevel::all the shadow's mark. What is never waited for never lands.
#pragma once

#include <vector>

#include "emulator/memory/global.h"

namespace warpwright::emulator {

class Warp;

struct PendingCopy {  // of one instruction, lanes of one group
    u32 lanes = 0;    // still pending
    i32 statement = 0;
    u32 group = 0;
    u32 bytes = 0;              // written by each lane
    u32 to[32] = {};            // offset in SharedMemory::data
    u64 from[32] = {};          // global address
    u32 source_bytes[32] = {};  // read; the rest is zero
    bool is_cut = false;        // some lane's are fewer than `bytes`
};

// In the order of issue. Storage is kept: a kernel goes on with as many as it had.
class CopyQueue {
public:
    // More than any kernel can have on its way; older ones land then, which they may at any time.
    static constexpr u32 kMaxCopies = 1024;

    u32 size() const { return size_; }
    PendingCopy& operator[](u32 index) { return ring_[(first_ + index) % ring_.size()]; }
    PendingCopy& push() {
        if (size_ == ring_.size()) grow();
        return (*this)[size_++];
    }
    void remove_landed();  // those without lanes
    void clear() { first_ = size_ = 0; }

private:
    void grow();

    std::vector<PendingCopy> ring_;
    u32 first_ = 0, size_ = 0;
};

struct AsyncCopies {
    CopyQueue pending;
    u32 open_group[32] = {};  // the group that the lane's next copy joins: how many it committed
    void clear() {
        pending.clear();
        for (u32& group : open_group) group = 0;
    }
};

}  // namespace warpwright::emulator
