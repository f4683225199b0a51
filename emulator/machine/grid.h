// SPDX-License-Identifier: Apache-2.0
// Block and Grid: what handlers reach from their Warp beyond the warp itself.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "emulator/machine/launch.h"
#include "emulator/machine/warp.h"

namespace warpwright::emulator {

// bar.sync, bar.arrive, bar.red: PTX ISA 9.7.13.1. Arrival is counted in threads, warp by warp.
struct NamedBarrier {
    u32 expected = 0;  // threads; 0: nobody has arrived
    u32 arrived = 0;
    u32 popc = 0;  // of bar.red
    bool all = true, any = false;
    u64 phase = 0;  // completed generations
};

class Block {
public:
    u32 index[3] = {0, 0, 0};  // %ctaid
    Grid& grid() { return *grid_; }
    SharedMemory shared;
    std::array<NamedBarrier, kNumBarriers> barriers;
    std::vector<Warp> warps;
    int live_warps = 0;

private:
    friend class Grid;
    Grid* grid_ = nullptr;
    std::vector<std::byte> registers_;  // of all warps
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

    // Grows when a store, an atomic or a barrier changed what other warps can see: the scheduler's measure of
    // progress. Relaxed; bump it only when the value really changed.
    std::atomic<u64> progress{0};
    std::atomic<bool> stop{false};  // a finding was made: everybody returns

    void print(std::string text);  // of printf
    void record(Finding finding);  // keeps the first, sets stop
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
