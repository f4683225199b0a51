// SPDX-License-Identifier: Apache-2.0
// What memory instructions have in common when they are bound, and those that order or hint only: fence,
// membar, prefetch, applypriority, discard.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include "emulator/memory/access.h"
#include "emulator/memory/binders.h"

namespace warpwright::emulator {
namespace {

int log2_of(int value) {
    int log = 0;
    while (1 << log < value) ++log;
    return log;
}

}  // namespace

std::optional<Space> take_space(Binding& b, const Operand& address) {
    const std::string_view name = b.take_one_of({"global", "shared", "shared::cta", "shared::cluster",
                                                 "local", "param", "param::entry", "param::func", "const"});
    const Space of_symbol = b.symbol_space(address);
    Space space = Space::generic;
    if (name == "global") space = Space::global;
    if (name == "shared" || name == "shared::cta" || name == "shared::cluster") space = Space::shared;
    if (name == "local") space = Space::local;
    if (name == "const") space = Space::constant;
    // The argument areas of calls are placed among the local variables.
    if (name.substr(0, 5) == "param") space = of_symbol == Space::local ? Space::local : Space::param;
    if (space == Space::generic) return of_symbol;
    if (of_symbol != Space::generic && of_symbol != space) {
        b.error(fmt::format("{} is not in the state space of the instruction", address.symbol));
        return {};
    }
    return space;
}

bool take_scope(Binding& b) {
    return !b.take_one_of({"cta", "cluster", "gpu", "sys"}).empty();
}

void take_cache_hints(Binding& b) {
    b.take_one_of(
        {"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate"});
    b.take_one_of({"L2::evict_normal", "L2::evict_first", "L2::evict_last"});
    b.take_one_of({"L2::64B", "L2::128B", "L2::256B"});
}

void take_cache_policy(Binding& b, int operand) {
    if (b.take("L2::cache_hint")) b.source(operand, Type::b64);
}

bool take_strength(Binding& b, std::string_view ordered) {
    if (b.take("weak")) return false;
    if (b.take("volatile")) return true;
    const bool is_mmio = b.take("mmio");
    if (!b.take_one_of({"relaxed", ordered}).empty()) {
        if (!take_scope(b)) b.error("expected a scope: .cta, .cluster, .gpu or .sys");
        return true;
    }
    if (is_mmio) b.error("expected .relaxed after .mmio");
    return is_mmio;
}

Result<Shape> take_shape(Binding& b) {
    const std::string_view vector = b.take_one_of({"v2", "v4", "v8"});
    Shape shape;
    shape.count = vector.empty() ? 0 : log2_of(vector[1] - '0');
    WW_ASSIGN(shape.type, b.type());
    const int bits = facts_of(shape.type).bits;
    constexpr Type kTypes[] = {Type::b8,  Type::u8,  Type::s8,  Type::b16, Type::u16,
                               Type::s16, Type::b32, Type::u32, Type::s32, Type::f32,
                               Type::b64, Type::u64, Type::s64, Type::f64, Type::b128};
    if (std::find(std::begin(kTypes), std::end(kTypes), shape.type) == std::end(kTypes))
        return caller_error(fmt::format("not covered yet: type .{}", facts_of(shape.type).name));
    shape.element = log2_of(bits / 8);
    return shape;
}

void check_elements(Binding& b, const Operand& operand, int first, int found, const Shape& shape) {
    const int expected_count = 1 << shape.count;
    const bool is_vector = operand.kind == Operand::Kind::vector;
    if (found != expected_count || is_vector != (shape.count > 0)) {
        const std::string expected =
            shape.count > 0 ? fmt::format("a vector of {}", expected_count) : "one register";
        b.error(
            fmt::format("expected {}, got {} of {}", expected, is_vector ? "a vector" : "registers", found));
        return;
    }
    for (int i = first; i < first + found; ++i) {
        const int expected = facts_of(shape.type).bits / 32;
        if (const int width = b.instruction().slot_width[i]; width == 4 && expected < 4)
            b.error("not covered yet: a 128-bit register for a narrower type");
    }
}

void set_access(Binding& b, Space space, bool is_narrow, bool is_strong) {
    Instruction& instruction = b.instruction();
    instruction.detail[0] = static_cast<i32>(space);
    instruction.flag[kFlagNarrow] = is_narrow;
    instruction.flag[kFlagStrong] = is_strong;
}

namespace {

// --- fences: sequentially consistent, which is all that any of them asks ---

Flow fence(Warp&, const Instruction&, u32) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return Flow::next;
}

Status bind_fence(Binding& b) {
    b.handler(fence);
    if (b.take("proxy")) {
        // Other proxies than the generic one are not covered yet; aliases of an address there are none.
        if (!b.take("alias")) return caller_error("not covered yet: this proxy fence");
        return {};
    }
    b.take_one_of({"sc", "acq_rel", "acquire", "release"});
    if (!take_scope(b)) return caller_error("not covered yet: a fence without .cta, .cluster, .gpu or .sys");
    return {};
}

Status bind_membar(Binding& b) {
    b.handler(fence);
    if (b.take_one_of({"cta", "gl", "sys"}).empty())
        return caller_error("not covered yet: a membar that is not .cta, .gl or .sys");
    return {};
}

// --- hints ---

// A prefetch of an address that is none does nothing: PTX ISA 9.7.9.15.
Flow hint(Warp&, const Instruction&, u32) {
    return Flow::next;
}

Status bind_prefetch(Binding& b) {
    const Operand& address = b.operand(0);
    const bool is_uniform = b.statement().opcode == "prefetchu";
    if (!is_uniform) take_space(b, address);
    if (b.take_one_of({"L1", "L2", "L2::evict_last", "L2::evict_normal"}).empty())
        return caller_error("not covered yet: this prefetch");
    bool is_narrow = false;
    b.address(address, &is_narrow);
    b.handler(hint);
    return {};
}

constexpr i64 kLineBytes = 128;  // that applypriority and discard name

Status bind_line(Binding& b, Handler handler) {
    const Operand& address = b.operand(0);
    const std::optional<Space> space = take_space(b, address);
    bool is_narrow = false;
    b.address(address, &is_narrow);
    if (b.immediate(b.operand(1)) != kLineBytes) b.error("expected a size of 128");
    if (space && *space != Space::global && *space != Space::generic) b.error("expected state space .global");
    set_access(b, space.value_or(Space::generic), is_narrow, false);
    b.handler(handler);
    return {};
}

Status bind_apply_priority(Binding& b) {
    if (!b.take("L2::evict_normal")) return caller_error("not covered yet: another priority");
    return bind_line(b, hint);
}

// What was there is lost, and nothing written yet.
Flow discard(Warp& warp, const Instruction& instruction, u32 active) {
    const Addresses addresses = addresses_of(warp, instruction, 0);
    const Space space = access_space(instruction);
    for (u32 rest = active; rest != 0; rest &= rest - 1) {
        const int lane = first_lane(rest);
        Span span;
        const u64 address = addresses[lane];
        const bool is_found = find_span(warp, instruction, space, address, span) && span.is_global;
        const u64 offset = address - span.base;
        if (!is_found || span.is_read_only || span.bytes < kLineBytes || offset > span.bytes - kLineBytes)
            return report_address(warp, instruction, Space::global, 1u << lane, addresses, kLineBytes,
                                  Use::store);
        if (address % kLineBytes != 0 && warp.level() != CheckLevel::off)
            return report_misaligned(warp, instruction, 1u << lane, addresses, kLineBytes);
        std::memset(span.data + offset, 0xff, kLineBytes);
        if (span.shadow != nullptr) std::memset(span.shadow + offset, 0, kLineBytes);
    }
    return Flow::next;
}

Status bind_discard(Binding& b) {
    if (!b.take("L2")) return caller_error("not covered yet: another level");
    return bind_line(b, discard);
}

constexpr const char* kAccessForms =
    "{.weak .volatile .relaxed .acquire/.release .mmio}{.scope}{.space}{cache hints}{.v2 .v4 .v8} b8 b16 b32 "
    "b64 b128 u8 u16 u32 u64 s8 s16 s32 s64 f32 f64";

const Opcode kOpcodes[] = {
    {"ld", bind_load, "9.7.9.8", kAccessForms},
    {"ldu", bind_load, "9.7.9.10", "{.global}{.v2 .v4} as ld"},
    {"st", bind_store, "9.7.9.11", kAccessForms},
    {"fence", bind_fence, "9.7.13.4", "{.sc .acq_rel .acquire .release}.scope; .proxy.alias"},
    {"membar", bind_membar, "9.7.13.4", ".cta .gl .sys"},
    {"prefetch", bind_prefetch, "9.7.9.15", "{.space}.{L1 L2}; .global.L2::{evict_last evict_normal}"},
    {"prefetchu", bind_prefetch, "9.7.9.15", ".L1"},
    {"applypriority", bind_apply_priority, "9.7.9.16", "{.global}.L2::evict_normal of 128 bytes"},
    {"discard", bind_discard, "9.7.9.17", "{.global}.L2 of 128 bytes"},
};

}  // namespace

std::span<const Opcode> memory_opcodes() {
    static const std::vector<Opcode> all = [] {
        std::vector<Opcode> list(std::begin(kOpcodes), std::end(kOpcodes));
        for (const Opcode& opcode : atomic_opcodes()) list.push_back(opcode);
        return list;
    }();
    return all;
}

}  // namespace warpwright::emulator
