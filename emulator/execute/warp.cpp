// SPDX-License-Identifier: Apache-2.0
#include "emulator/execute/warp.h"

#include <fmt/format.h>

#include "emulator/decode/binding.h"
#include "emulator/execute/simd.h"

namespace warpwright::emulator {

Flow find_groups(Warp& warp, const Instruction& instruction, u32 active, MaskGroups& groups) {
    const i32 mask_slot = instruction.detail[kDetailMaskSlot];
    const u32* masks = mask_slot < 0 ? nullptr : warp.lanes<u32>(instruction.slot[mask_slot]);
    const bool checks = warp.level() != CheckLevel::off;
    for (u32 rest = active; rest != 0;) {
        const int first = __builtin_ctz(rest);
        const u32 mask = masks == nullptr ? static_cast<u32>(instruction.detail[kDetailMask]) : masks[first];
        u32 lanes = 0;  // that name this mask
        for (int l = first; l < kLanes; ++l) {
            if ((rest >> l & 1u) != 0 && (masks == nullptr || masks[l] == mask)) lanes |= 1u << l;
        }
        rest &= ~lanes;
        if (checks && (lanes & ~mask) != 0) {
            return warp.report(
                FindingKind::bad_operand, instruction, lanes & ~mask, 0,
                fmt::format("executed by lanes that are not in their member mask {:#010x}", mask));
        }
        if (!warp.is_converged(instruction, mask, active)) return Flow::wait;
        if (const u32 others = mask & warp.live() & ~lanes; checks && others != 0) {
            return warp.report(
                FindingKind::non_convergent, instruction, others, 0,
                fmt::format("lanes of the member mask {:#010x} execute it with another one", mask));
        }
        groups.lanes[groups.num++] = lanes;
    }
    return Flow::next;
}

namespace {

#define WW_SIMD_FILE "emulator/execute/warp.inl"
#include "emulator/execute/each_simd_level.inl"

template <class Function>
Handler handler_of(Function choose) {
    switch (simd_level()) {
        case SimdLevel::baseline: return choose(baseline::kHandlers);
        case SimdLevel::avx2: return choose(avx2::kHandlers);
        case SimdLevel::avx512: return choose(avx512::kHandlers);
    }
    return nullptr;
}

void bind_mask(Binding& b, int index) {
    i32(&detail)[4] = b.instruction().detail;
    const Operand& mask = b.operand(index);
    detail[kDetailMaskSlot] = -1;
    if (mask.kind == Operand::Kind::integer)
        detail[kDetailMask] = static_cast<i32>(b.immediate(mask));
    else
        detail[kDetailMaskSlot] = b.source(mask, Type::b32);
}

// "d|p" or d: true when there is a predicate.
bool bind_destinations(Binding& b, const Operand& operand) {
    const bool has_predicate = operand.kind == Operand::Kind::pair && operand.elements.size() == 2;
    b.dest(has_predicate ? operand.elements[0] : operand, Type::b32);
    if (has_predicate) b.dest_predicate(operand.elements[1]);
    return has_predicate;
}

bool expect_operands(Binding& b, int expected) {
    if (b.num_operands() == expected) return true;
    b.error(fmt::format("expected {} operands, got {}", expected, b.num_operands()));
    return false;
}

// The forms without .sync are gone since sm_70.
bool take_sync(Binding& b) {
    if (b.take("sync")) return true;
    b.error("not covered yet: this instruction without .sync");
    return false;
}

Status bind_shfl(Binding& b) {
    if (!take_sync(b) || !expect_operands(b, 5)) return {};
    const std::string_view mode = b.take_one_of({"up", "down", "bfly", "idx"});
    if (mode.empty() || !b.take("b32")) return caller_error("expected shfl.sync.{up, down, bfly, idx}.b32");
    const bool has_predicate = bind_destinations(b, b.operand(0));
    for (int i = 1; i < 4; ++i) b.source(i, Type::b32);
    bind_mask(b, 4);
    const int index = mode == "up" ? 0 : mode == "down" ? 1 : mode == "bfly" ? 2 : 3;
    b.handler(handler_of([&](const auto& handlers) { return handlers.shuffle[index][has_predicate]; }));
    return {};
}

Status bind_vote(Binding& b) {
    if (!take_sync(b) || !expect_operands(b, 3)) return {};
    const std::string_view mode = b.take_one_of({"all", "any", "uni", "ballot"});
    const bool is_ballot = mode == "ballot";
    if (mode.empty() || !b.take(is_ballot ? "b32" : "pred"))
        return caller_error("expected vote.sync.{all, any, uni}.pred or vote.sync.ballot.b32");
    if (is_ballot)
        b.dest(0, Type::b32);
    else
        b.dest_predicate(b.operand(0));
    b.source_predicate(b.operand(1), &b.instruction().flag[0]);
    bind_mask(b, 2);
    const int index = mode == "all" ? 0 : mode == "any" ? 1 : mode == "uni" ? 2 : 3;
    b.handler(handler_of([&](const auto& handlers) { return handlers.vote[index]; }));
    return {};
}

Status bind_match(Binding& b) {
    if (!take_sync(b) || !expect_operands(b, 3)) return {};
    const std::string_view mode = b.take_one_of({"any", "all"}), type = b.take_one_of({"b32", "b64"});
    if (mode.empty() || type.empty()) return caller_error("expected match.{any, all}.sync.{b32, b64}");
    const bool is_wide = type == "b64";
    const bool has_predicate = bind_destinations(b, b.operand(0));
    if (has_predicate && mode == "any") return caller_error("match.any has no predicate");
    b.source(1, is_wide ? Type::b64 : Type::b32);
    bind_mask(b, 2);
    b.handler(handler_of([&](const auto& handlers) {
        return mode == "any" ? handlers.match_any[is_wide] : handlers.match_all[is_wide][has_predicate];
    }));
    return {};
}

Status bind_redux(Binding& b) {
    if (!take_sync(b) || !expect_operands(b, 3)) return {};
    const std::string_view operation = b.take_one_of({"add", "min", "max", "and", "or", "xor"});
    WW_ASSIGN(const Type type, b.type());
    const bool is_bitwise = operation == "and" || operation == "or" || operation == "xor";
    const bool is_order = operation == "min" || operation == "max";
    b.dest(0, type);
    b.source(1, type);
    bind_mask(b, 2);
    if (type == Type::f32 && is_order) {
        const bool is_max = operation == "max", is_absolute = b.take("abs"), is_nan = b.take("NaN");
        b.handler(handler_of(
            [&](const auto& handlers) { return handlers.reduce_f32[is_max][is_nan][is_absolute]; }));
        return {};
    }
    const bool is_integer = type == Type::u32 || type == Type::s32;
    if (operation.empty() || (is_bitwise ? type != Type::b32 : !is_integer))
        return caller_error("the type does not go with the operation");
    const bool is_signed = type == Type::s32;
    const int index = operation == "add"   ? 0
                      : operation == "min" ? (is_signed ? 1 : 3)
                      : operation == "max" ? (is_signed ? 2 : 4)
                      : operation == "and" ? 5
                      : operation == "or"  ? 6
                                           : 7;
    b.handler(handler_of([&](const auto& handlers) { return handlers.reduce[index]; }));
    return {};
}

Status bind_elect(Binding& b) {
    if (!take_sync(b) || !expect_operands(b, 2)) return {};
    if (!bind_destinations(b, b.operand(0))) return caller_error("expected two destinations, d|p");
    bind_mask(b, 1);
    b.handler(handler_of([](const auto& handlers) { return handlers.elect; }));
    return {};
}

Status bind_activemask(Binding& b) {
    if (!expect_operands(b, 1)) return {};
    if (!b.take("b32")) return caller_error("expected activemask.b32");
    b.dest(0, Type::b32);
    b.handler(handler_of([](const auto& handlers) { return handlers.activemask; }));
    return {};
}

constexpr Opcode kOpcodes[] = {
    {"shfl", bind_shfl, "9.7.9.6", ".sync.{up, down, bfly, idx}.b32 d or d|p"},
    {"vote", bind_vote, "9.7.13.9", ".sync.{all, any, uni}.pred, .sync.ballot.b32"},
    {"match", bind_match, "9.7.13.10", ".{any, all}.sync.{b32, b64}, all with d or d|p"},
    {"activemask", bind_activemask, "9.7.13.11", ".b32"},
    {"redux", bind_redux, "9.7.13.12",
     ".sync.{add, min, max}.{u32, s32}, .sync.{and, or, xor}.b32, .sync.{min, max}{.abs}{.NaN}.f32"},
    {"elect", bind_elect, "9.7.13.14", ".sync d|p"},
};

}  // namespace

std::span<const Opcode> warp_opcodes() {
    return kOpcodes;
}

}  // namespace warpwright::emulator
