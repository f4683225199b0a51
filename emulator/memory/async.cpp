// SPDX-License-Identifier: Apache-2.0
// cp.async: PTX ISA 9.7.9.25.3. Handlers are in async.inl.
#include "emulator/memory/async.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include <fmt/format.h>
#include "emulator/execute/simd.h"
#include "emulator/memory/access.h"
#include "emulator/memory/binders.h"

namespace warpwright::emulator {

void CopyQueue::grow() {
    std::vector<PendingCopy> larger(std::max<std::size_t>(8, 2 * ring_.size()));
    for (u32 i = 0; i < size_; ++i) larger[i] = (*this)[i];
    ring_ = std::move(larger);
    first_ = 0;
}

void CopyQueue::remove_landed() {
    for (; size_ > 0 && (*this)[0].lanes == 0; --size_)
        first_ = (first_ + 1) % static_cast<u32>(ring_.size());
    // Copies of lanes that wait for later groups than others do.
    u32 kept = 0;
    for (u32 i = 0; i < size_; ++i) {
        if ((*this)[i].lanes == 0) continue;
        if (kept != i) (*this)[kept] = (*this)[i];
        ++kept;
    }
    size_ = kept;
}

int line_of_copy(Warp& warp, u64 offset) {
    for (Warp& other : warp.block().warps) {
        CopyQueue& pending = other.async.pending;
        for (u32 i = 0; i < pending.size(); ++i) {
            const PendingCopy& copy = pending[i];
            for (u32 rest = copy.lanes; rest != 0; rest &= rest - 1) {
                if (offset - copy.to[first_lane(rest)] < copy.bytes)
                    return warp.grid().program->statements[static_cast<std::size_t>(copy.statement)].ptx_line;
            }
        }
    }
    return 0;
}

namespace {

struct AsyncHandlers {
    Handler issue[3];  // of 4, 8 and 16 bytes
    Handler commit, wait_group, wait_all;
};

// Instruction of a cp.async: flag[kFlagNarrow] and detail[1] of the target's address, the immediate and this
// of the source's; detail[2] says how the bytes to read are given.
constexpr int kFlagSourceNarrow = 1;
constexpr int kFlagIgnoreNegated = 2;
enum SourceSize : i32 { kWhole, kInRegister, kIgnoredIf };

constexpr u64 kAsyncBytes = 0x0101'0101'0101'0101ull * kShadowAsync;

Flow read_sizes(Warp& warp, const Instruction& instruction, u32 active, PendingCopy& copy) {
    if (instruction.detail[2] == kIgnoredIf) {
        u32 ignored = warp.predicate(instruction.predicate[0]);
        if (instruction.flag[kFlagIgnoreNegated]) ignored = ~ignored;
        ignored &= active;
        copy.is_cut = ignored != 0;
        for (u32 rest = ignored; rest != 0; rest &= rest - 1) copy.source_bytes[first_lane(rest)] = 0;
    } else if (instruction.detail[2] == kInRegister) {
        const u32* sizes = warp.lanes<u32>(instruction.slot[2]);
        u32 too_many = 0;
        for (u32 rest = active; rest != 0; rest &= rest - 1) {
            const int lane = first_lane(rest);
            copy.source_bytes[lane] = sizes[lane];
            if (sizes[lane] != copy.bytes) copy.is_cut = true;
            if (sizes[lane] > copy.bytes) too_many |= 1u << lane;
        }
        if (too_many != 0) {
            return warp.report(FindingKind::bad_operand, instruction, too_many, 0,
                               fmt::format("the size of the source is {}, more than the {} bytes copied",
                                           sizes[first_lane(too_many)], copy.bytes));
        }
    }
    return Flow::next;
}

// Lanes that read only some of the bytes, or none.
Flow check_cut_sources(Warp& warp, const Instruction& instruction, u32 active, const PendingCopy& copy) {
    for (u32 rest = active; rest != 0; rest &= rest - 1) {
        const int lane = first_lane(rest);
        const u32 bytes = copy.source_bytes[lane];
        if (bytes == 0) continue;
        if (find_bytes(warp, instruction, Space::global, lane, copy.from[lane], bytes, Use::load) == nullptr)
            return report_address(warp, instruction, Space::global, 1u << lane, Addresses{copy.from}, bytes,
                                  Use::load);
        if (copy.from[lane] % copy.bytes != 0 && warp.level() != CheckLevel::off)
            return report_misaligned(warp, instruction, 1u << lane, Addresses{copy.from}, copy.bytes);
    }
    return Flow::next;
}

// False after a finding.
bool land_cut(Warp& warp, const Instruction& instruction, const PendingCopy& copy, int lane) {
    std::byte* to = warp.block().shared.data.get() + copy.to[lane];
    const u64 from = copy.from[lane];
    const u32 bytes = copy.source_bytes[lane];
    if (bytes > 0) {
        Span span;
        if (!find_span(warp, instruction, Space::global, from, span) || bytes > span.bytes ||
            from - span.base > span.bytes - bytes) {
            report_address(warp, instruction, Space::global, 1u << lane, Addresses{copy.from}, bytes,
                           Use::load);
            return false;
        }
        const u64 offset = from - span.base;
        if (span.is_checked) {
            const u8* shadow = span.shadow + offset;
            if (!std::all_of(shadow, shadow + bytes, [](u8 mark) { return mark == kShadowWritten; })) {
                report_shadow(warp, instruction, Space::global, span, 1u << lane, Addresses{copy.from}, bytes,
                              Use::load);
                return false;
            }
        }
        std::memcpy(to, span.data + offset, bytes);
    }
    std::memset(to + bytes, 0, copy.bytes - bytes);
    return true;
}

Flow report_overlap(Warp& warp, const Instruction& instruction, u32 active, const PendingCopy& copy) {
    for (u32 rest = active; rest != 0; rest &= rest - 1) {
        const int lane = first_lane(rest);
        for (u32 others = rest & (rest - 1); others != 0; others &= others - 1) {
            const int other = first_lane(others);
            if (copy.to[lane] != copy.to[other]) continue;  // aligned: they meet whole or not at all
            const u64 address = kSharedStart + u64{copy.to[lane]};
            return warp.report(FindingKind::async_not_waited, instruction, 1u << lane | 1u << other, address,
                               fmt::format("lanes {} and {} copy to the same {} bytes, at {}", lane, other,
                                           copy.bytes, place_of(warp, Space::shared, address)));
        }
    }
    return Flow::next;
}

#define WW_SIMD_FILE "emulator/memory/async.inl"
#include "emulator/execute/each_simd_level.inl"

const AsyncHandlers& handlers() {
    switch (simd_level()) {
        case SimdLevel::avx512: return avx512::kHandlers;
        case SimdLevel::avx2: return avx2::kHandlers;
        case SimdLevel::baseline: break;
    }
    return baseline::kHandlers;
}

Status bind_copy(Binding& b) {
    const bool is_any_size = b.take_one_of({"ca", "cg"}) == "ca";
    const bool is_shared = !b.take_one_of({"shared", "shared::cta"}).empty();
    if (!is_shared || !b.take("global")) b.error("expected .shared.global");
    take_cache_hints(b);
    Instruction& instruction = b.instruction();

    bool is_narrow = false;
    b.address(b.operand(0), &is_narrow);
    instruction.flag[kFlagNarrow] = is_narrow;
    instruction.detail[1] = static_cast<i32>(instruction.immediate);
    if (instruction.detail[1] != instruction.immediate) b.error("not covered yet: so large an offset");
    b.address(b.operand(1), &is_narrow);
    instruction.flag[kFlagSourceNarrow] = is_narrow;
    const i64 bytes = b.immediate(b.operand(2));
    if (bytes != 16 && (!is_any_size || (bytes != 4 && bytes != 8))) {
        b.error(fmt::format("expected a size of {}, got {}", is_any_size ? "4, 8 or 16" : "16", bytes));
        return {};
    }

    const bool has_policy = b.take("L2::cache_hint");
    const int num_given = b.num_operands() - (has_policy ? 1 : 0);
    instruction.detail[2] = kWhole;
    if (num_given == 4) {
        const Operand& given = b.operand(3);
        if (b.is_predicate(given)) {
            instruction.detail[2] = kIgnoredIf;
            b.source_predicate(given, &instruction.flag[kFlagIgnoreNegated]);
        } else {
            instruction.detail[2] = kInRegister;
            b.source(given, Type::u32);
        }
    }
    if (has_policy) b.source(num_given, Type::b64);
    b.handler(handlers().issue[bytes == 4 ? 0 : bytes == 8 ? 1 : 2]);
    return {};
}

Status bind_async(Binding& b) {
    if (!b.take("async")) return not_mine();
    for (const std::string_view modifier : b.remaining()) {
        if (modifier == "bulk" || modifier == "mbarrier")
            return caller_error(fmt::format("not covered yet: cp.async.{}", modifier));
    }
    if (b.take("commit_group")) {
        b.handler(handlers().commit);
        return {};
    }
    if (b.take("wait_all")) {
        b.handler(handlers().wait_all);
        return {};
    }
    if (b.take("wait_group")) {
        const i64 except = b.immediate(b.operand(0));
        b.instruction().detail[0] = static_cast<i32>(std::clamp<i64>(except, 0, 0x7fff'ffff));
        if (except < 0) b.error("expected a number of groups");
        b.handler(handlers().wait_group);
        return {};
    }
    return bind_copy(b);
}

const Opcode kOpcodes[] = {
    {"cp", bind_async, "9.7.9.25.3",
     "async.{ca cg}.shared.global{cache hints} of 4, 8, 16 bytes, with the source's size or a predicate that "
     "ignores it; async.commit_group, async.wait_group, async.wait_all"},
};

}  // namespace

std::span<const Opcode> async_opcodes() {
    return kOpcodes;
}

}  // namespace warpwright::emulator
