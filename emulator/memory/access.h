// SPDX-License-Identifier: Apache-2.0
// From addresses to bytes: the way of every access of a kernel. Lanes that lie in the same bytes as the first
// one, an allocation or shared memory, are treated together; lanes that lie elsewhere come next. That loop,
// and the checks in it, is for_each_span() in lookup.inl; what it finds is put into words here.
//
// Ordinary accesses are plain loads and stores of the host. Blocks run on several threads, so kernels that
// race would race here too; on x86-64 and Arm aligned elements of up to 8 bytes do not tear all the same.
// Strong accesses (volatile, relaxed, acquire, release, mmio) of global memory and atomics are sequentially
// consistent atomics of the host. A block runs on one thread, so shared memory needs none.
#pragma once

#include <bit>
#include <string>

#include "emulator/machine/grid.h"
#include "emulator/parse/module.h"

namespace warpwright::emulator {

enum class Use : u8 { load, store, atomic };

struct Wide {  // 128 bits
    u64 low = 0, high = 0;
    bool operator==(const Wide&) const = default;
};

// Those of the lanes of a warp: as they stand in a slot, or in an array.
struct Addresses {
    const void* base = nullptr;  // 32 of u64, or of u32
    bool is_narrow = false;
    u64 plus = 0;
    u64 operator[](int lane) const {
        return plus + (is_narrow ? static_cast<const u32*>(base)[lane] : static_cast<const u64*>(base)[lane]);
    }
};

// What an Instruction of an access says, beside its slots.
inline Space access_space(const Instruction& instruction) {
    return static_cast<Space>(instruction.detail[0]);
}
constexpr int kFlagNarrow = 0;  // flag: the address is a 32-bit register
constexpr int kFlagStrong = 1;  // of ld and st: volatile, relaxed, acquire, release, mmio
constexpr int kFlagSigned = 2;  // of ld: what is loaded is sign-extended
inline Addresses addresses_of(Warp& warp, const Instruction& instruction, int operand) {
    return {warp.lanes<u64>(instruction.slot[operand]), instruction.flag[kFlagNarrow],
            static_cast<u64>(instruction.immediate)};
}

// Bytes in a row that the addresses [base, base + bytes) of a space stand for.
struct Span {
    u64 base = 0;
    u64 bytes = 0;
    std::byte* data = nullptr;
    u8* shadow = nullptr;     // to be kept by stores; null: everything counts as written
    u64 lane_stride = 0;      // of local memory: lane l's bytes begin l times this further
    bool is_checked = false;  // shadow is to be tested: CheckLevel::all
    bool is_read_only = false;
    bool is_shared = false;  // between the threads of a block only: one thread of the host
    bool is_global = false;  // between threads of the host
};

inline int first_lane(u32 lanes) {
    return std::countr_zero(lanes);
}

// Lanes beside each other, all of them in a mask.
struct Run {
    int begin = 0, count = 0;
    u32 lanes = 0;
};
inline Run first_run(u32 lanes) {
    const int begin = first_lane(lanes), count = std::countr_one(lanes >> begin);
    return {begin, count, static_cast<u32>(((u64{1} << count) - 1) << begin)};
}

bool find_global_slow(Warp& warp, u32 index, u64 address, Span& span);

// The allocation around the address. Each instruction has an entry of the warp's cache, which it shares with
// every eighth: one that walks through an array hits it each time.
inline bool find_global(Warp& warp, const Instruction& instruction, u64 address, Span& span) {
    TranslationCache& cache = warp.translations;
    const u32 index = static_cast<u32>(instruction.statement) % TranslationCache::kEntries;
    const TranslationCache::Entry& entry = cache.entry[index];
    if (address - entry.base >= entry.bytes || cache.generation != warp.grid().memory->generation())
        [[unlikely]] {
        return find_global_slow(warp, index, address, span);
    }
    span.base = entry.base;
    span.bytes = entry.bytes;
    span.data = entry.allocation->data;
    span.shadow = entry.allocation->shadow;
    span.is_read_only = entry.allocation->is_read_only;
    span.is_checked = warp.level() == CheckLevel::all && span.shadow != nullptr;
    span.is_global = true;
    return true;
}

// The block's own, or that of another block of its cluster; false when that one has ended.
inline bool find_shared(Warp& warp, u64 window, u64 address, Span& span) {
    const Block* block = &warp.block();
    span.base = window + kSharedStart;
    if (const u64 rank = (address - window) / kSharedRankUnit; rank != 0) [[unlikely]] {
        const std::vector<Block*>& blocks = block->cluster->blocks;
        block = rank <= blocks.size() ? blocks[rank - 1] : nullptr;
        if (block == nullptr) return false;
        span.base += rank * kSharedRankUnit;
    }
    const SharedMemory& shared = block->shared;
    span.bytes = shared.bytes;
    span.data = shared.data.get();
    span.is_shared = true;
    // What another block left there cannot be seen: nobody needs the shadow where it is not tested.
    span.is_checked = warp.level() == CheckLevel::all;
    span.shadow = span.is_checked ? shared.shadow.get() : nullptr;
    return true;
}

bool find_other(Warp& warp, const Instruction& instruction, Space space, u64 address, Span& span);

// The bytes that the address may be among; false when there are none. The caller tests whether its whole
// access lies inside. `span` is fresh.
inline bool find_span(Warp& warp, const Instruction& instruction, Space space, u64 address, Span& span) {
    if (space == Space::global || (space == Space::generic && address >= kDeviceStart))
        return find_global(warp, instruction, address, span);
    if (space == Space::shared) return find_shared(warp, 0, address, span);
    return find_other(warp, instruction, space, address, span);
}

// A lane's bytes at an address, for what is not fast: null when they are not all there. Nothing else is
// checked.
std::byte* find_bytes(Warp& warp, const Instruction& instruction, Space space, int lane, u64 address,
                      u64 bytes, Use use);

// Held while 16 bytes of global memory are read or written at once: hosts differ in what they can.
class WideLock {
public:
    explicit WideLock(const void* address);
    ~WideLock();
    WideLock(const WideLock&) = delete;
    WideLock& operator=(const WideLock&) = delete;

private:
    std::atomic_flag& flag_;
};

// --- findings ---

// Lanes that have not waited for the grid before theirs must not touch global memory, which that grid may be
// writing or reading; loads with .nc say that theirs is constant.
Flow check_order(Warp& warp, const Instruction& instruction, Space space, u32 lanes,
                 const Addresses& addresses, Use use);
// Some of the lanes' accesses are not inside of any memory they may use: of the first such lane.
Flow report_address(Warp& warp, const Instruction& instruction, Space space, u32 lanes,
                    const Addresses& addresses, u64 bytes, Use use);
Flow report_misaligned(Warp& warp, const Instruction& instruction, u32 lanes, const Addresses& addresses,
                       u64 alignment);
// The shadow of some lane is not as it must be; all of them are in the span.
Flow report_shadow(Warp& warp, const Instruction& instruction, Space space, const Span& span, u32 lanes,
                   const Addresses& addresses, u64 bytes, Use use);
// The line of the copy on its way to the byte at this offset in shared memory, of any warp of the block; 0:
// none.
int line_of_copy(Warp& warp, u64 offset);
// "offset 12 of shared variable tile", "byte 8 of allocation 3 of 4096 bytes".
std::string place_of(Warp& warp, Space space, u64 address);

}  // namespace warpwright::emulator
