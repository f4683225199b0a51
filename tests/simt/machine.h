// SPDX-License-Identifier: Apache-2.0
// Runs a kernel's C++ on the CPU, block by block: a fiber a thread, and tests/ptx/*.cuh in place of src/ptx.
// Tests what a kernel does with fragments, swizzles, rings, barriers and predicates; not what a compiler
// makes of it.
//
// An asynchronous copy lands when it is waited for and not before, so that a missing wait shows; shared
// memory starts as NaN; ldmatrix counts bank conflicts. Use: see gemm_test.cpp. Include before any kernel
// file.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "warpwright/types.h"

#define __device__
#define __global__
#define __grid_constant__
#define __shared__
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)

namespace simt {

using namespace warpwright;

constexpr int kWarp = 32;
constexpr u32 kSharedBase = 1024;  // where dynamic shared memory starts in the shared window
constexpr std::size_t kSharedBytes = 227 * 1024;

struct Index {
    u32 x = 0, y = 0, z = 0;
};

struct Copy {
    u32 to;
    const void* from;
    int bytes, from_bytes;
};

struct Fiber {
    ucontext_t context{};  // where it starts; after that `where`, which costs no system call
    jmp_buf where;
    bool started = false;
    std::unique_ptr<char[]> stack;
    bool done = false;
    enum class Wait { none, warp, block } wait = Wait::none;
    int collectives = 0;
    std::vector<std::vector<Copy>> groups{1};  // asynchronous copies; the last group is not committed
};

struct Machine {
    std::vector<Fiber> fibers;
    jmp_buf scheduler;
    int current = 0;
    std::function<void()> body;
    std::vector<std::array<std::array<u32, 8>, kWarp>> exchange[2];  // by warp: what each lane contributes
    long bank_conflicts = 0;
};

inline Machine machine;

}  // namespace simt

inline simt::Index threadIdx, blockIdx, gridDim;
alignas(1024) inline unsigned char shared_memory[simt::kSharedBytes];

namespace simt {

[[noreturn]] inline void die(const char* what) {
    std::fprintf(stderr, "simt: block %u thread %u: %s\n", blockIdx.x, threadIdx.x, what);
    std::abort();
}

inline void* shared_pointer(u32 address, int bytes, int alignment) {
    if (address < kSharedBase || address + bytes > kSharedBase + kSharedBytes)
        die("shared address out of range");
    if (address % alignment != 0) die("shared address is not aligned");
    return shared_memory + (address - kSharedBase);
}

// Back to the scheduler; returns when this fiber is resumed.
[[gnu::noinline]] inline void suspend() {
    if (_setjmp(machine.fibers[machine.current].where) == 0) _longjmp(machine.scheduler, 1);
}

[[gnu::noinline]] inline void resume(Fiber& fiber) {
    if (_setjmp(machine.scheduler) != 0) return;
    if (fiber.started) _longjmp(fiber.where, 1);
    fiber.started = true;
    setcontext(&fiber.context);
}

inline void wait(Fiber::Wait what) {
    machine.fibers[machine.current].wait = what;
    suspend();
}

// Every lane contributes eight words and sees those of its warp. Two buffers take turns: nobody reaches the
// second next collective before all have left this one.
inline const std::array<std::array<u32, 8>, kWarp>& warp_exchange(const std::array<u32, 8>& mine) {
    const int warp = machine.current / kWarp, lane = machine.current % kWarp;
    auto& slot = machine.exchange[machine.fibers[machine.current].collectives++ % 2][warp];
    slot[lane] = mine;
    wait(Fiber::Wait::warp);
    return slot;
}

inline void run_fiber() {
    machine.body();
    machine.fibers[machine.current].done = true;
    suspend();
}

// One block. Threads that ended do not take part in barriers any more.
inline void run_block(int num_threads, u32 block, const std::function<void()>& body) {
    if (machine.fibers.size() != static_cast<std::size_t>(num_threads)) {
        machine.fibers = std::vector<Fiber>(num_threads);
    }
    machine.body = body;
    blockIdx.x = block;
    std::memset(shared_memory, 0xff, sizeof(shared_memory));
    for (auto& exchange : machine.exchange) exchange.resize((num_threads + kWarp - 1) / kWarp);
    constexpr std::size_t kStackBytes = 96 * 1024;
    for (Fiber& fiber : machine.fibers) {
        if (!fiber.stack) fiber.stack = std::make_unique<char[]>(kStackBytes);
        fiber.started = fiber.done = false, fiber.wait = Fiber::Wait::none, fiber.collectives = 0;
        fiber.groups.assign(1, {});
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = kStackBytes;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, reinterpret_cast<void (*)()>(run_fiber), 0);
    }
    for (bool alive = true; alive;) {
        alive = false;
        for (int i = 0; i < num_threads; ++i) {
            Fiber& fiber = machine.fibers[i];
            if (fiber.done || fiber.wait != Fiber::Wait::none) continue;
            machine.current = i;
            threadIdx.x = static_cast<u32>(i);
            resume(fiber);
        }
        bool block_ready = true;
        for (const Fiber& fiber : machine.fibers) {
            alive |= !fiber.done;
            block_ready &= fiber.done || fiber.wait == Fiber::Wait::block;
        }
        bool progress = block_ready;
        for (int first = 0; first < num_threads; first += kWarp) {
            bool warp_ready = true;
            for (int i = first; i < first + kWarp; ++i)
                warp_ready &= machine.fibers[i].wait == Fiber::Wait::warp;
            progress |= warp_ready;
            for (int i = first; i < first + kWarp; ++i) {
                if (warp_ready || block_ready) machine.fibers[i].wait = Fiber::Wait::none;
            }
        }
        if (alive && !progress) {
            for (const Fiber& fiber : machine.fibers)
                progress |= !fiber.done && fiber.wait == Fiber::Wait::none;
            if (!progress) die("deadlock: not every thread reaches this barrier");
        }
    }
}

inline void land(std::vector<std::vector<Copy>>& groups, std::size_t keep) {
    while (groups.size() - 1 > keep) {
        for (const Copy& copy : groups.front()) {
            void* to = shared_pointer(copy.to, copy.bytes, copy.bytes);
            std::memset(to, 0, static_cast<std::size_t>(copy.bytes));
            if (copy.from_bytes == 0) continue;
            if (reinterpret_cast<u64>(copy.from) % copy.bytes != 0)
                die("asynchronous copy from an odd address");
            std::memcpy(to, copy.from, static_cast<std::size_t>(copy.from_bytes));
        }
        groups.erase(groups.begin());
    }
}

}  // namespace simt

inline void __syncthreads() {
    simt::wait(simt::Fiber::Wait::block);
}
inline void __syncwarp() {
    simt::wait(simt::Fiber::Wait::warp);
}
inline float __uint_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
// Each four bits of the selector, from the lowest up, name a byte of the eight.
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const unsigned long long bytes = static_cast<unsigned long long>(high) << 32 | low;
    unsigned result = 0;
    for (int i = 0; i < 4; ++i)
        result |= static_cast<unsigned>(bytes >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
    return result;
}
inline float __int_as_float(int bits) {
    return __uint_as_float(static_cast<unsigned>(bits));
}
inline unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}
inline float __shfl_xor_sync(unsigned, float value, int mask) {
    const auto& lanes = simt::warp_exchange({__float_as_uint(value)});
    return __uint_as_float(lanes[(simt::machine.current % simt::kWarp) ^ mask][0]);
}
