// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/scheduler.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <system_error>
#include <thread>

#include <fmt/format.h>
#include "emulator/machine/hang.h"

namespace warpwright::emulator {
namespace {

using Clock = std::chrono::steady_clock;

constexpr u64 kQuantum = 4096;          // warp instructions of a turn
constexpr u64 kIdle = 4096;             // without any change, after which a warp may be spinning,
constexpr u64 kIdleYield = 256;         // of which a turn that ends with a yield counts for so many
constexpr u64 kSlice = 100'000;         // of a block, before another open one runs
constexpr int kFirstPeriod = 256;       // of the longest loop that is recognised as spinning at first,
constexpr int kMaxPeriod = 4096;        // and later
constexpr u64 kQuietBlock = 1'000'000;  // without any change, after which another block is opened too
// A launch that is over sooner is not worth a second thread.
constexpr auto kWorthThreads = std::chrono::microseconds(200);
constexpr auto kPoll = std::chrono::microseconds(100);

u64 mix(u64 value) {  // splitmix64
    value += 0x9e37'79b9'7f4a'7c15ull;
    value = (value ^ value >> 30) * 0xbf58'476d'1ce4'e5b9ull;
    value = (value ^ value >> 27) * 0x94d0'49bb'1331'11ebull;
    return value ^ value >> 31;
}

int wanted_threads(const LaunchOptions& options) {
    if (options.num_threads > 0) return options.num_threads;
    return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

// Blocks that earlier launches have left, with their memory.
class BlockPool {
public:
    std::unique_ptr<Block> take() {
        std::lock_guard lock(mutex_);
        if (blocks_.empty()) return std::make_unique<Block>();
        std::unique_ptr<Block> block = std::move(blocks_.back());
        blocks_.pop_back();
        return block;
    }
    void put(std::unique_ptr<Block> block) {
        if (block->memory_bytes() > kMaxBlockBytes) return;
        std::lock_guard lock(mutex_);
        if (blocks_.size() < kMaxBlocks) blocks_.push_back(std::move(block));
    }

private:
    static constexpr std::size_t kMaxBlocks = 16;
    static constexpr std::size_t kMaxBlockBytes = 8 << 20;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Block>> blocks_;
};

BlockPool& block_pool() {
    static BlockPool pool;
    return pool;
}

}  // namespace

BlockOrder::BlockOrder(u64 count, u64 seed) : count_(count), seed_(seed) {
    while (half_bits_ < 32 && u64{1} << 2 * half_bits_ < count) ++half_bits_;
}

// Four Feistel rounds permute [0, 4^half_bits); what falls outside of [0, count) is permuted again.
u64 BlockOrder::at(u64 position) const {
    if (seed_ == 0) return position;
    const u64 mask = (u64{1} << half_bits_) - 1;
    do {
        u64 left = position >> half_bits_, right = position & mask;
        for (u64 round = 0; round < 4; ++round) {
            const u64 next = left ^ (mix(right + mix(seed_ + round)) & mask);
            left = right;
            right = next;
        }
        position = left << half_bits_ | right;
    } while (position >= count_);
    return position;
}

// One thread's part of the grid: some open blocks.
class Scheduler::Worker {
public:
    Worker(Scheduler& scheduler, u64 number)
        : scheduler_(scheduler),
          grid_(scheduler.grid_),
          number_(number),
          random_(mix(grid_.options.seed + mix(number))) {}

    void run();

    u64 waits_at = 0;  // Grid::progress when it had nothing to do

private:
    u64 random() { return mix(random_++); }
    bool is_seeded() const { return grid_.options.seed != 0; }
    bool open_one();
    bool run_block(Block& block);
    void run_warp(Warp& warp);
    Pause advance(Warp& warp, u64 instructions);
    void look_for_spin(Warp& warp);
    void settle(Warp& warp, Pause pause, u64 progress);
    void check_patience();

    Scheduler& scheduler_;
    Grid& grid_;
    const u64 number_;
    u64 random_;
    std::vector<std::unique_ptr<Block>> blocks_;
    std::vector<int> order_;  // of the warps of a round
    u64 quiet_ = 0;           // warp instructions since Grid::progress was quiet_since_
    u64 quiet_since_ = ~u64{0};
    u64 quiet_to_open_ = kQuietBlock;
};

bool Scheduler::Worker::open_one() {
    std::vector<std::unique_ptr<Block>> opened = scheduler_.open_next();
    if (opened.empty()) return false;
    for (std::unique_ptr<Block>& block : opened) blocks_.push_back(std::move(block));
    quiet_to_open_ = quiet_ + kQuietBlock * blocks_.size();
    return true;
}

void Scheduler::Worker::run() {
    const int num_threads = number_ > 0 ? 1 : wanted_threads(grid_.options);
    bool may_start_threads = num_threads > 1;
    const Clock::time_point start = may_start_threads ? Clock::now() : Clock::time_point{};
    // With a seed, blocks run in turns too.
    std::size_t wanted = 1;
    while (!grid_.stop.load(std::memory_order_relaxed)) {
        if (is_seeded()) wanted = 1 + random() % 3;
        while (blocks_.size() < wanted && open_one()) {
        }
        if (blocks_.empty()) return;
        const u64 progress = grid_.progress.load(std::memory_order_acquire);
        bool has_run = false;
        for (std::size_t i = 0; i < blocks_.size(); ++i) {
            has_run |= run_block(*blocks_[i]);
            if (grid_.stop.load(std::memory_order_relaxed)) break;
            if (blocks_[i]->live_warps > 0) continue;
            scheduler_.close(std::move(blocks_[i]));
            blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(i--));
        }
        if (grid_.stop.load(std::memory_order_relaxed)) break;
        if (may_start_threads && Clock::now() - start > kWorthThreads) {
            may_start_threads = false;
            scheduler_.start_threads(num_threads - 1);
        }
        if (!has_run) {
            if (!blocks_.empty() && !open_one() && !scheduler_.wait_for_change(progress, *this)) break;
        } else if (quiet_ >= quiet_to_open_) {
            open_one();
        }
    }
    for (auto& block : blocks_) scheduler_.close(std::move(block));
}

// Rounds over the block's warps. False when none could run.
bool Scheduler::Worker::run_block(Block& block) {
    bool has_run = false;
    u64 spent = 0;
    const int num_warps = static_cast<int>(block.warps.size());
    order_.resize(block.warps.size());
    for (int i = 0; i < num_warps; ++i) order_[i] = i;
    while (block.live_warps > 0 && spent < kSlice) {
        if (is_seeded()) {
            for (int i = num_warps - 1; i > 0; --i) std::swap(order_[i], order_[random() % (i + 1)]);
        }
        bool has_round_run = false, is_anyone_asleep = false;
        for (const int index : order_) {
            Warp& warp = block.warps[index];
            if (warp.live() == 0 || warp.turn.is_blocked) continue;
            const u64 progress = grid_.progress.load(std::memory_order_acquire);
            if (warp.turn.is_asleep && warp.turn.asleep_at == progress) {
                is_anyone_asleep = true;
                continue;
            }
            const u64 before = warp.num_instructions;
            run_warp(warp);
            const u64 executed = warp.num_instructions - before;
            spent += executed;
            if (progress != quiet_since_) {
                quiet_since_ = progress;
                quiet_ = 0;
                quiet_to_open_ = kQuietBlock * blocks_.size();
            }
            quiet_ += executed;
            has_round_run = true;
            if (grid_.stop.load(std::memory_order_relaxed)) break;
        }
        has_run |= has_round_run;
        if (grid_.stop.load(std::memory_order_relaxed)) break;
        if (!has_round_run) {
            // Nobody outside of the block can free a warp that waits at a barrier.
            if (!is_anyone_asleep && block.live_warps > 0) {
                Block* const hung[] = {&block};
                grid_.record(describe_hang(grid_, hung, "no warp of the block can go on"));
            }
            break;
        }
    }
    scheduler_.num_instructions_.fetch_add(spent, std::memory_order_relaxed);
    check_patience();
    return has_run;
}

void Scheduler::Worker::check_patience() {
    const LaunchOptions& options = grid_.options;
    if (grid_.stop.load(std::memory_order_relaxed)) return;
    const auto give_up = [this](const std::string& reason) {
        std::vector<Block*> mine;
        for (const auto& block : blocks_) mine.push_back(block.get());
        grid_.record(describe_hang(grid_, mine, reason));
    };
    if (options.max_instructions > 0 && scheduler_.num_instructions() > options.max_instructions) {
        give_up(fmt::format("given up after {} warp instructions, the limit of this launch",
                            options.max_instructions));
    } else if (quiet_ > options.patience) {
        give_up(fmt::format("{} warp instructions have changed nothing that other warps can see", quiet_));
    }
}

// Executes exactly so many, unless the warp stops before.
Pause Scheduler::Worker::advance(Warp& warp, u64 instructions) {
    const u64 end = warp.num_instructions + instructions;
    Pause pause = Pause::quantum;
    while (warp.num_instructions < end && (pause == Pause::quantum || pause == Pause::yielded))
        pause = warp.run(end - warp.num_instructions);
    return pause;
}

void Scheduler::Worker::run_warp(Warp& warp) {
    Turn& turn = warp.turn;
    const u64 progress = grid_.progress.load(std::memory_order_acquire);
    const u64 changes = warp.num_changes();
    if (turn.is_asleep && turn.period > 0) {
        // Another round of its loop: does it still spin?
        const Pause pause = advance(warp, turn.period);
        const bool can_go_on = pause == Pause::quantum || pause == Pause::yielded;
        if (can_go_on && warp.num_changes() == changes && warp.is_at(turn.state, true)) {
            turn.asleep_at = progress;
            return;
        }
        turn.is_asleep = false;
        settle(warp, pause, progress);
        return;
    }
    turn.is_asleep = false;
    u64 quantum = kQuantum;
    if (is_seeded()) {
        const u64 bits = random();
        quantum = 1 + (bits >> 8) % (u64{1} << bits % 13);
    }
    const u64 before = warp.num_instructions;
    const Pause pause = warp.run(quantum);
    settle(warp, pause, progress);
    if (pause != Pause::quantum && pause != Pause::yielded) return;
    if (warp.num_changes() != changes) {
        turn.idle = 0;
        return;
    }
    const u64 executed = warp.num_instructions - before;
    turn.idle += pause == Pause::yielded ? std::max(executed, kIdleYield) : executed;
    if (turn.idle < kIdle * static_cast<u64>(turn.patience)) return;
    look_for_spin(warp);
    turn.idle = 0;
}

void Scheduler::Worker::settle(Warp& warp, Pause pause, u64 progress) {
    if (pause != Pause::blocked) return;
    Turn& turn = warp.turn;
    turn.is_blocked = true;
    for (const LaneGroup& group : warp.groups()) {
        if (group.waits != WaitReason::memory) continue;
        turn.is_blocked = false;
        turn.is_asleep = true;
        turn.asleep_at = progress;
        turn.period = 0;
    }
}

// Goes on step by step, until the warp is in a state where it was before.
void Scheduler::Worker::look_for_spin(Warp& warp) {
    Turn& turn = warp.turn;
    const u64 progress = grid_.progress.load(std::memory_order_acquire);
    const u64 changes = warp.num_changes();
    const u64 start = warp.num_instructions;
    warp.save(turn.state, true);
    turn.first_pc = turn.last_pc = warp.running_group().pc;
    const int max_period = std::min(kFirstPeriod * turn.patience, kMaxPeriod);
    for (int step = 0; step < max_period; ++step) {
        const Pause pause = warp.run(1);
        settle(warp, pause, progress);
        if (pause != Pause::quantum && pause != Pause::yielded) return;
        if (warp.num_changes() != changes) return;
        turn.first_pc = std::min(turn.first_pc, warp.running_group().pc);
        turn.last_pc = std::max(turn.last_pc, warp.running_group().pc);
        if (!warp.is_at(turn.state, true)) continue;
        turn.is_asleep = true;
        turn.asleep_at = progress;
        turn.period = warp.num_instructions - start;
        return;
    }
    // It computes. Looking less and less often costs little.
    turn.patience = std::min(2 * turn.patience, 1 << 20);
}

Scheduler::Scheduler(Grid& grid, u64 resident_blocks)
    : grid_(grid),
      num_blocks_(u64{grid.config.grid.x} * grid.config.grid.y * grid.config.grid.z),
      cluster_blocks_(u64{grid.config.cluster.x} * grid.config.cluster.y * grid.config.cluster.z),
      resident_blocks_(std::max<u64>(resident_blocks, cluster_blocks_)),
      order_(num_blocks_ / cluster_blocks_, grid.options.seed) {}

// The blocks of the next cluster. None when there is none left, or no room for it.
std::vector<std::unique_ptr<Block>> Scheduler::open_next() {
    u64 number = 0;
    {
        std::lock_guard lock(mutex_);
        if (num_started_ == num_blocks_ || open_.size() + cluster_blocks_ > resident_blocks_) return {};
        number = order_.at(num_started_ / cluster_blocks_);
        num_started_ += cluster_blocks_;
        open_.insert(open_.end(), cluster_blocks_, nullptr);
    }
    const Dim3 &grid = grid_.config.grid, &dims = grid_.config.cluster;
    const u64 across = grid.x / dims.x, down = grid.y / dims.y;
    const u64 x = number % across * dims.x, y = number / across % down * dims.y,
              z = number / across / down * dims.z;
    const auto cluster = std::make_shared<Cluster>();
    std::vector<std::unique_ptr<Block>> blocks;
    for (u64 rank = 0; rank < cluster_blocks_; ++rank) {
        blocks.push_back(block_pool().take());
        blocks.back()->open(grid_, static_cast<u32>(x + rank % dims.x),
                            static_cast<u32>(y + rank / dims.x % dims.y),
                            static_cast<u32>(z + rank / dims.x / dims.y), cluster);
    }
    std::lock_guard lock(mutex_);
    for (const auto& block : blocks) *std::find(open_.begin(), open_.end(), nullptr) = block.get();
    grid_.progress.fetch_add(1, std::memory_order_release);
    return blocks;
}

void Scheduler::close(std::unique_ptr<Block> block) {
    {
        std::lock_guard lock(mutex_);
        open_.erase(std::find(open_.begin(), open_.end(), block.get()));
        grid_.progress.fetch_add(1, std::memory_order_release);
        if (num_waiting_ > 0) changed_.notify_all();
    }
    block->close();
    block_pool().put(std::move(block));
}

// A worker has nothing to do until Grid::progress is not `progress` any more. False when the launch is over.
bool Scheduler::wait_for_change(u64 progress, Worker& worker) {
    std::unique_lock lock(mutex_);
    worker.waits_at = progress;
    ++num_waiting_;
    const auto is_hung = [&] {
        return num_waiting_ == static_cast<int>(workers_.size()) &&
               std::all_of(workers_.begin(), workers_.end(),
                           [&](const Worker* other) { return other->waits_at == progress; });
    };
    while (!grid_.stop.load(std::memory_order_relaxed) &&
           grid_.progress.load(std::memory_order_acquire) == progress) {
        if (is_hung()) {
            std::string reason = "no warp of the grid can go on";
            if (num_started_ < num_blocks_) {
                reason += fmt::format(" ({} of {} blocks have not started: the target holds {} at once)",
                                      num_blocks_ - num_started_, num_blocks_, resident_blocks_);
            }
            grid_.record(describe_hang(grid_, open_, reason));
            changed_.notify_all();
            break;
        }
        changed_.wait_for(lock, kPoll);
    }
    --num_waiting_;
    return !grid_.stop.load(std::memory_order_relaxed);
}

void Scheduler::start_threads(int count) {
    std::lock_guard lock(mutex_);
    const u64 blocks_left = std::min(num_blocks_ - num_started_,
                                     resident_blocks_ > open_.size() ? resident_blocks_ - open_.size() : 0);
    count = static_cast<int>(std::min<u64>(static_cast<u64>(count), blocks_left));
    try {
        for (int i = 0; i < count; ++i) threads_.emplace_back([this, i] { work(static_cast<u64>(i) + 1); });
    } catch (const std::system_error&) {
        // The system has no more threads: those that there are do the work.
    }
}

void Scheduler::work(u64 number) {
    Worker worker(*this, number);
    {
        std::lock_guard lock(mutex_);
        workers_.push_back(&worker);
    }
    try {
        worker.run();
    } catch (const std::bad_alloc&) {
        Finding finding;
        finding.kind = FindingKind::over_limit;
        finding.kernel = grid_.program->name;
        finding.text = "the host has not enough memory for another block";
        grid_.record(std::move(finding));
    }
    std::lock_guard lock(mutex_);
    std::erase(workers_, &worker);
    changed_.notify_all();
}

void Scheduler::run() {
    work(0);
    threads_.clear();  // joins
}

}  // namespace warpwright::emulator
