// SPDX-License-Identifier: Apache-2.0
// Which blocks are open, and which warp runs next.
//
// A block, with all of its cluster, is opened when nothing that is open can run: blocks run one after the
// other, each by one thread of the CPU, unless they wait for each other; then up to as many are open as the
// target holds at once.
//
// A warp that cannot run is either blocked (at a barrier: the block's arrival frees it) or it spins: it goes
// round a loop, and its whole state is what it was one round ago, while nothing that others can see has
// changed. Such a warp will go round for ever unless something changes, so it sleeps until Grid::progress
// grows. When all warps of all open blocks are blocked or asleep, and no further block can be opened, the
// grid has hung: that is proven, not guessed by a time. Loops with a state of their own (they count, or read
// %clock) are given LaunchOptions::patience.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "emulator/machine/grid.h"

namespace warpwright::emulator {

// Blocks in the order of a seed: a permutation of [0, count). Seed 0 is the order of the index.
class BlockOrder {
public:
    BlockOrder(u64 count, u64 seed);
    u64 at(u64 position) const;

private:
    u64 count_;
    u64 seed_;
    int half_bits_ = 1;
};

class Scheduler {
public:
    // `resident_blocks`: at once, on the whole target.
    Scheduler(Grid& grid, u64 resident_blocks);
    // Runs all blocks, or until there is a finding, which it leaves in the grid.
    void run();
    u64 num_instructions() const { return num_instructions_.load(); }

private:
    class Worker;

    std::vector<std::unique_ptr<Block>> open_next();
    void close(std::unique_ptr<Block> block);
    bool wait_for_change(u64 progress, Worker& worker);
    void start_threads(int count);
    void work(u64 number);

    Grid& grid_;
    const u64 num_blocks_;
    const u64 cluster_blocks_;
    const u64 resident_blocks_;
    const BlockOrder order_;  // of clusters
    std::atomic<u64> num_instructions_{0};

    std::mutex mutex_;
    std::condition_variable changed_;
    u64 num_started_ = 0;
    std::vector<Block*> open_;  // of all workers
    std::vector<Worker*> workers_;
    int num_waiting_ = 0;
    std::vector<std::jthread> threads_;  // beside the caller's
};

}  // namespace warpwright::emulator
