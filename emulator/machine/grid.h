// SPDX-License-Identifier: Apache-2.0
// Block and Grid: what handlers reach from their Warp beyond the warp itself.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/machine/cluster.h"
#include "emulator/machine/launch.h"
#include "emulator/machine/warp.h"

namespace warpwright::emulator {

// bar.sync, bar.arrive, bar.red: PTX ISA 9.7.13.1. A warp arrives when all its live lanes have, and counts as
// 32 threads then.
enum class BarrierUse : u8 { sync, popc, all, any };  // a reduction is not mixed with anything else
struct NamedBarrier {
    bool is_open = false;  // lanes have arrived
    BarrierUse use = BarrierUse::sync;
    u32 expected = 0;  // threads; 0: all live warps of the block
    u32 arrived = 0;   // threads
    u32 warps = 0;     // those that have arrived whole, one bit each
    u32 popc = 0;      // threads for which the predicate of bar.red held
    bool all = true;
    u32 partial[kMaxWarps] = {};  // lanes that have arrived of warps that have not arrived whole
    u32 holding[kMaxWarps] = {};  // of these, those for which the predicate holds
};

class Block {
public:
    u32 index[3] = {0, 0, 0};  // %ctaid
    Grid& grid() { return *grid_; }
    SharedMemory shared;
    std::shared_ptr<Cluster> cluster;
    u32 cluster_rank = 0;
    std::array<NamedBarrier, kNumBarriers> barriers;
    std::vector<Warp> warps;
    int live_warps = 0;

    // Makes the block of this index ready to run from the program's start, with what the grid says. Memory of
    // an earlier block is used again. Blocks of a cluster are opened in the order of their ranks.
    void open(Grid& grid, u32 x, u32 y, u32 z, std::shared_ptr<Cluster> of = nullptr);
    void close();

    std::size_t memory_bytes() const;

    // Lanes of a warp arrive at a barrier, which must fit what `barrier` says already. Warps that this lets
    // go on are released.
    void arrive(int id, Warp& warp, u32 lanes, u32 holding);
    // Lanes of the warp have exited: barriers that waited for them do not any more.
    void lanes_exited(Warp& warp);

private:
    void warp_arrived(int id, Warp& warp);
    void release_if_complete(int id);

    Grid* grid_ = nullptr;
    struct Free {
        void operator()(std::byte* memory) const;
    };
    std::unique_ptr<std::byte, Free> registers_;  // of all warps, 64-byte aligned
    std::size_t registers_bytes_ = 0;
    std::vector<u32> predicates_;
};

class Grid {
public:
    const Program* program = nullptr;
    const Target* target = nullptr;
    GlobalMemory* memory = nullptr;
    LaunchConfig config;
    LaunchOptions options;
    std::vector<std::byte> params;
    u64 id = 0;  // %gridid

    u32 num_threads() const { return config.block.x * config.block.y * config.block.z; }  // of a block

    // Grows after warps have changed what others can see: the scheduler's measure of progress. Handlers call
    // Warp::note_change() instead, which costs nothing.
    std::atomic<u64> progress{0};
    std::atomic<bool> stop{false};  // a finding was made: everybody returns

    void print(std::string_view text);  // of printf
    void record(Finding finding);       // keeps the first, sets stop
    std::optional<Finding> first_finding();
    std::string printed();

private:
    std::mutex mutex_;
    std::optional<Finding> finding_;
    std::string printed_;
};

inline Grid& Warp::grid() {
    return block_->grid();
}

}  // namespace warpwright::emulator
