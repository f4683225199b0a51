// SPDX-License-Identifier: Apache-2.0
// A pool whose calls cost about a microsecond while it is in use: decoding a small model makes about eighty
// of them per token, so waking a sleeping thread each time would dominate.
//
// One job at a time. The caller cuts [0, count) into at most one contiguous range per thread, publishes them
// in `ticket` and works through them itself; workers claim ranges from the same ticket. The cut depends on
// count, grain and pool size only. A worker that wakes late finds nothing left to claim and costs nothing.
#include "device/host_threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

namespace warpwright {
namespace {

// Longer than the gap between two calls inside one token, short enough to leave the core to others after it.
constexpr auto kSpin = std::chrono::microseconds(50);

// Set while a thread runs a body: calls made from there run inline, whatever pool they name.
thread_local bool inside_body = false;

int allowed_cores() {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
    return std::max(1u, std::thread::hardware_concurrency());
}

void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// Waits for `done` by spinning for a while: true when it came true in time.
template <class Predicate>
bool spin_until(Predicate done) {
    const auto start = std::chrono::steady_clock::now();
    do {
        for (int i = 0; i < 64; ++i) {
            if (done()) return true;
            relax();
        }
    } while (std::chrono::steady_clock::now() - start < kSpin);
    return false;
}

// A ticket names a job and the next of its ranges, so that a claim can never be taken from another job:
// generation in the high half, then the number of ranges, then the next range.
constexpr u64 make_ticket(u32 generation, u32 num_ranges, u32 next) {
    return u64{generation} << 32 | u64{num_ranges} << 16 | next;
}
constexpr u32 num_ranges_of(u64 ticket) {
    return ticket >> 16 & 0xffff;
}
constexpr u32 next_of(u64 ticket) {
    return ticket & 0xffff;
}

constexpr int kMaxThreads = 1024;

}  // namespace

struct HostThreads::State {
    int num_threads = 1;
    std::vector<std::thread> workers;
    std::mutex callers;  // held for the length of one job

    // The job. Written before the ticket is published, read only by who has claimed one of its ranges.
    const std::function<void(i64, i64)>* body = nullptr;
    i64 count = 0;
    i64 grain = 1;
    i64 num_grains = 0;

    alignas(64) std::atomic<u64> ticket{0};
    alignas(64) std::atomic<u32> generation{0};  // what idle workers watch
    alignas(64) std::atomic<u32> pending{0};     // ranges not finished yet
    std::atomic<bool> stopping{false};

    bool run_one() {
        u64 seen = ticket.load(std::memory_order_acquire);
        do {
            if (next_of(seen) >= num_ranges_of(seen)) return false;
        } while (!ticket.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel));
        // The job cannot end before this range does, so its fields stand still.
        const i64 range = next_of(seen);
        const i64 num_ranges = num_ranges_of(seen);
        const i64 begin = range * num_grains / num_ranges * grain;
        const i64 end = std::min(count, (range + 1) * num_grains / num_ranges * grain);
        inside_body = true;
        (*body)(begin, end);
        inside_body = false;
        if (pending.fetch_sub(1, std::memory_order_acq_rel) == 1) pending.notify_all();
        return true;
    }

    void work() {
        u32 seen = 0;
        while (true) {
            const auto moved = [&] { return generation.load(std::memory_order_acquire) != seen; };
            if (!spin_until(moved)) generation.wait(seen, std::memory_order_acquire);
            // In this order: the destructor stops first and moves the generation then, so whoever has taken
            // its last generation for seen also sees that it stops.
            seen = generation.load(std::memory_order_acquire);
            if (stopping.load(std::memory_order_acquire)) return;
            while (run_one()) {
            }
        }
    }
};

HostThreads::HostThreads(int num_threads) : state_(std::make_unique<State>()) {
    state_->num_threads = std::clamp(num_threads > 0 ? num_threads : allowed_cores(), 1, kMaxThreads);
    for (int i = 1; i < state_->num_threads; ++i) {
        state_->workers.emplace_back([state = state_.get()] { state->work(); });
    }
}

HostThreads::~HostThreads() {
    state_->stopping.store(true, std::memory_order_release);
    state_->generation.fetch_add(1, std::memory_order_acq_rel);
    state_->generation.notify_all();
    for (std::thread& worker : state_->workers) worker.join();
}

int HostThreads::size() const {
    return state_->num_threads;
}

void HostThreads::parallel_for(i64 count, i64 grain, const std::function<void(i64 begin, i64 end)>& body) {
    if (count <= 0) return;
    grain = std::max<i64>(grain, 1);
    const i64 num_grains = (count - 1) / grain + 1;
    const i64 num_ranges = std::min<i64>(state_->num_threads, num_grains);
    if (num_ranges == 1 || inside_body) {
        body(0, count);
        return;
    }
    State& state = *state_;
    std::lock_guard lock(state.callers);
    state.body = &body;
    state.count = count;
    state.grain = grain;
    state.num_grains = num_grains;
    state.pending.store(static_cast<u32>(num_ranges), std::memory_order_relaxed);
    const u32 generation = state.generation.load(std::memory_order_relaxed) + 1;
    state.ticket.store(make_ticket(generation, static_cast<u32>(num_ranges), 0), std::memory_order_release);
    // Sequentially consistent: the notify must not look for sleepers before the new value is visible to them.
    state.generation.store(generation);
    state.generation.notify_all();

    while (state.run_one()) {
    }
    const auto finished = [&] { return state.pending.load(std::memory_order_acquire) == 0; };
    if (spin_until(finished)) return;
    for (u32 left = state.pending.load(std::memory_order_acquire); left != 0;
         left = state.pending.load(std::memory_order_acquire)) {
        state.pending.wait(left, std::memory_order_acquire);
    }
}

}  // namespace warpwright
