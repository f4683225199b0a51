// SPDX-License-Identifier: Apache-2.0
// Moves and addresses, PTX ISA 9.7.9.
#include <array>
#include <cstring>

#include "emulator/decode/binding.h"
#include "emulator/execute/forms.h"
#include "emulator/execute/lanes.h"
#include "emulator/machine/special.h"
#include "emulator/memory/windows.h"

namespace warpwright::emulator {
namespace {

struct MoveHandlers {
    Handler mov32, mov64, pack32, pack16, unpack32, unpack16;
};

#define WW_SIMD_FILE "emulator/execute/move.inl"
#include "emulator/execute/each_simd_level.inl"

const MoveHandlers* move_handlers() {
    return at_level(&baseline::kMoves, &avx2::kMoves, &avx512::kMoves);
}

namespace rare {
#include "emulator/execute/lanewise.inl"

struct Bits128 {
    u64 low, high;
};
Flow mov128(Warp& warp, const Instruction& i, u32 active) {
    const Bits128* const a = warp.lanes<Bits128>(i.slot[1]);
    store_each_lane(warp.lanes<Bits128>(i.slot[0]), active, [&](int l) { return a[l]; });
    return Flow::next;
}

// Where lane l of a register of so many bytes is. Up to four bytes share a word.
std::byte* lane_at(Warp& warp, u16 slot, int bytes, int l) {
    return warp.lanes<std::byte>(slot) + l * (bytes < 4 ? 4 : bytes);
}
// detail[0]: elements, detail[1]: bytes of each.
Flow pack(Warp& warp, const Instruction& i, u32 active) {
    const int count = i.detail[0], bytes = i.detail[1];
    for (u32 left = active; left != 0; left &= left - 1) {
        const int l = __builtin_ctz(left);
        std::byte whole[16] = {};
        for (int k = 0; k < count; ++k)
            std::memcpy(whole + k * bytes, lane_at(warp, i.slot[1 + k], bytes, l), bytes);
        const int size = count * bytes;
        std::memcpy(lane_at(warp, i.slot[0], size, l), whole, size < 4 ? 4 : size);
    }
    return Flow::next;
}
Flow unpack(Warp& warp, const Instruction& i, u32 active) {
    const int count = i.detail[0], bytes = i.detail[1];
    for (u32 left = active; left != 0; left &= left - 1) {
        const int l = __builtin_ctz(left);
        std::byte whole[16] = {};
        std::memcpy(whole, lane_at(warp, i.slot[count], count * bytes, l), count * bytes);
        for (int k = 0; k < count; ++k) {
            std::byte element[16] = {};
            std::memcpy(element, whole + k * bytes, bytes);
            std::memcpy(lane_at(warp, i.slot[k], bytes, l), element, bytes < 4 ? 4 : bytes);
        }
    }
    return Flow::next;
}

// detail[0]: SpecialId.
template <class Word>
Flow mov_special(Warp& warp, const Instruction& i, u32 active) {
    alignas(64) Word value[kLanes];
    read_special(warp, i, static_cast<SpecialId>(i.detail[0]), value);
    store_lanes(warp.lanes<Word>(i.slot[0]), active, [&](int l) { return value[l]; });
    return Flow::next;
}

// flag[0]: the source is negated.
Flow mov_predicate(Warp& warp, const Instruction& i, u32 active) {
    const u32 a = warp.predicate(i.predicate[1]) ^ (i.flag[0] ? kAllLanes : 0u);
    u32& d = warp.predicate(i.predicate[0]);
    d = merge_lanes(d, a, active);
    return Flow::next;
}

struct Window {
    u64 start, bytes;
};
Window window_of(Space space) {
    switch (space) {
        case Space::shared: return {kSharedWindow, kSharedWindowBytes};
        case Space::local: return {kLocalWindow, kLocalWindowBytes};
        case Space::param: return {kParamWindow, kParamWindowBytes};
        case Space::constant: return {kConstantWindow, kConstantWindowBytes};
        default: return {0, 0};
    }
}
bool is_in(u64 address, Space space) {
    const Window window = window_of(space);
    return address - window.start < window.bytes;
}
// detail[0]: Space. What is in no window is global.
Flow isspacep(Warp& warp, const Instruction& i, u32 active) {
    const u64* const a = warp.lanes<u64>(i.slot[0]);
    const auto space = static_cast<Space>(i.detail[0]);
    const u32 mask = mask_lanes([&](int l) {
        if (space != Space::global) return is_in(a[l], space);
        for (const Space other : {Space::shared, Space::local, Space::param, Space::constant})
            if (is_in(a[l], other)) return false;
        return true;
    });
    u32& p = warp.predicate(i.predicate[0]);
    p = merge_lanes(p, mask, active);
    return Flow::next;
}

// A cache eviction policy is a value that instructions with .L2::cache_hint take and nobody looks into.
Flow createpolicy(Warp& warp, const Instruction& i, u32 active) {
    store_each_lane(warp.lanes<u64>(i.slot[0]), active, [&](int) { return static_cast<u64>(i.immediate); });
    return Flow::next;
}
}  // namespace rare

Type bits_type(int bits) {
    return bits == 8    ? Type::b8
           : bits == 16 ? Type::b16
           : bits == 32 ? Type::b32
           : bits == 64 ? Type::b64
                        : Type::none;
}

Status bind_vector(Binding& b, Type type) {
    const int bits = facts_of(type).bits;
    const Operand& d = b.operand(0);
    const Operand& a = b.operand(1);
    const bool unpacks = d.kind == Operand::Kind::vector;
    if (unpacks && a.kind == Operand::Kind::vector) return caller_error("expected one vector, got two");
    const int count = static_cast<int>((unpacks ? d : a).elements.size());
    const Type element = count == 2 || count == 4 ? bits_type(bits / count) : Type::none;
    if (element == Type::none) return caller_error("expected a vector of 2 or 4 elements of 8 bits or more");
    if (unpacks) {
        b.dests(d, element);
        b.source(a, type);
    } else {
        b.dest(d, type);
        b.sources(a, element);
    }
    const int element_bits = facts_of(element).bits;
    b.instruction().detail[0] = count;
    b.instruction().detail[1] = element_bits / 8;
    const MoveHandlers* const moves = move_handlers();
    if (count == 2 && element_bits == 32)
        b.handler(unpacks ? moves->unpack32 : moves->pack32);
    else if (count == 2 && element_bits == 16)
        b.handler(unpacks ? moves->unpack16 : moves->pack16);
    else
        b.handler(unpacks ? &rare::unpack : &rare::pack);
    return {};
}

Status bind_mov(Binding& b) {
    WW_ASSIGN(const Type type, b.type());
    const Operand& d = b.operand(0);
    const Operand& a = b.operand(1);
    if (type == Type::pred) {
        b.dest_predicate(d);
        b.source_predicate(a, &b.instruction().flag[0]);
        b.handler(&rare::mov_predicate);
        return {};
    }
    const int bits = facts_of(type).bits;
    if (bits < 16) return caller_error("expected a type of 16 bits or more");
    if (d.kind == Operand::Kind::vector || a.kind == Operand::Kind::vector) return bind_vector(b, type);
    b.dest(d, type);
    SpecialId id;
    if (a.kind == Operand::Kind::special) {
        if (!special_register(a.symbol, id)) return caller_error("not covered yet: " + a.symbol);
        b.instruction().detail[0] = static_cast<i32>(id);
        b.handler(bits == 64 ? &rare::mov_special<u64> : &rare::mov_special<u32>);
        return {};
    }
    b.source(a, type);
    const MoveHandlers* const moves = move_handlers();
    b.handler(bits == 128 ? &rare::mov128 : bits == 64 ? moves->mov64 : moves->mov32);
    return {};
}

// The state space among the modifiers of cvta and isspacep.
Space take_space(Binding& b) {
    struct Name {
        std::string_view name;
        Space space;
    };
    // The window of a cluster's blocks has their own in it.
    constexpr Name kNames[] = {{"global", Space::global},      {"shared", Space::shared},
                               {"shared::cta", Space::shared}, {"shared::cluster", Space::shared},
                               {"local", Space::local},        {"param", Space::param},
                               {"param::entry", Space::param}, {"const", Space::constant}};
    for (const Name& name : kNames) {
        if (b.take(name.name)) return name.space;
    }
    return Space::generic;
}

Status bind_cvta(Binding& b) {
    const bool to = b.take("to");
    const Space space = take_space(b);
    if (space == Space::generic) return caller_error("expected a state space");
    WW_ASSIGN(const Type type, b.type());
    if (type != Type::u64) return caller_error("expected .u64: addresses have 64 bits");
    const u64 window = rare::window_of(space).start;
    b.instruction().immediate = static_cast<i64>(to ? 0 - window : window);
    b.dest(0, type);
    b.source(1, type);
    if (window == 0)
        b.handler(move_handlers()->mov64);
    else
        b.handler(at_level<Handler>(baseline::cvta, avx2::cvta, avx512::cvta));
    return {};
}

Status bind_isspacep(Binding& b) {
    const Space space = take_space(b);
    if (space == Space::generic) return caller_error("expected a state space");
    b.instruction().detail[0] = static_cast<i32>(space);
    b.dest_predicate(b.operand(0));
    b.source(1, Type::u64);
    b.handler(&rare::isspacep);
    return {};
}

// .fractional.L2::primary{.L2::secondary}.b64 d{, fraction}; .range{.global}.L2::primary{.L2::secondary}.b64
// d, [a], size, size; .cvt.L2.b64 d, property
Status bind_createpolicy(Binding& b) {
    const std::string_view kind = b.take_one_of({"fractional", "range", "cvt"});
    if (kind.empty() || !b.take("b64")) return caller_error("this form is not covered yet");
    b.dest(0, Type::b64);
    b.handler(&rare::createpolicy);
    b.instruction().immediate = 1;
    if (kind == "cvt") {
        if (!b.take("L2")) b.error("expected .L2");
        b.source(1, Type::b32);
        return {};
    }
    const std::string_view primary =
        b.take_one_of({"L2::evict_last", "L2::evict_normal", "L2::evict_first", "L2::evict_unchanged"});
    if (primary.empty()) b.error("expected a primary priority");
    b.take_one_of({"L2::evict_first", "L2::evict_unchanged"});  // the secondary one
    if (kind == "fractional") {
        if (b.num_operands() > 1) b.source(1, Type::f32);
        return {};
    }
    b.take("global");
    b.address(b.operand(1), nullptr);
    b.instruction().immediate = 1;  // not the address's offset
    b.source(2, Type::b32);
    b.source(3, Type::b32);
    return {};
}

}  // namespace

std::span<const Opcode> move_opcodes() {
    static constexpr Opcode kList[] = {
        {"mov", bind_mov, "9.7.9.3",
         ".{b16,b32,b64,b128,u16,u32,u64,s16,s32,s64,f32,f64,pred} of registers, constants, symbols, special "
         "registers and vectors"},
        {"isspacep", bind_isspacep, "9.7.9.19",
         ".{global,shared,shared::cta,shared::cluster,local,param,param::entry,const}"},
        {"cvta", bind_cvta, "9.7.9.20",
         "{.to}.{global,shared,shared::cta,shared::cluster,local,param,param::entry,const}.u64"},
        {"createpolicy", bind_createpolicy, "9.7.9.18",
         ".fractional.L2::primary{.L2::secondary}.b64 .range{.global}.L2::primary{.L2::secondary}.b64 "
         ".cvt.L2.b64"},
    };
    return kList;
}

}  // namespace warpwright::emulator
