// SPDX-License-Identifier: Apache-2.0
// Comparisons and selections, PTX ISA 9.7.6 and 9.7.7, and the logic of predicates, 9.7.8.
#include <array>

#include "emulator/decode/binding.h"
#include "emulator/execute/forms.h"
#include "emulator/execute/lanes.h"

namespace warpwright::emulator {
namespace {

// The other comparisons are these with the sources exchanged, or not holding: a > b is b < a, and "less or
// unordered" is not (b <= a). Integers need the first two.
enum class Comparison : u8 { equal, less, less_equal, not_equal, ordered };
constexpr int kNumComparisons = 5;
// Types of sources, in the order of kComparers' rows.
enum class Compared : u8 {
    u16,
    s16,
    u32,
    s32,
    u64,
    s64,
    f32,
    f32_ftz,
    f64,
    f16,
    f16_ftz,
    bf16,
    f16x2,
    f16x2_ftz,
    bf16x2
};

using LaneMask = u32 (*)(Warp& warp, const Instruction& instruction, int first_source);
struct Comparer {
    Handler setp = nullptr;   // of types that are not packed
    LaneMask low = nullptr;   // the lanes where it holds
    LaneMask high = nullptr;  // for the upper half of packed types
};

// Sources as they are compared.
template <class T>
WW_LANE T comparable(T a) {
    return a;
}
WW_LANE float comparable(F16 a) {
    return decode_f16(a.bits);
}
WW_LANE float comparable(Bf16 a) {
    return decode_bf16(a.bits);
}
template <class T>
WW_LANE auto comparable(Flushed<T> a) {
    return comparable(a.value);
}

// Fields of setp and set. flag[0]: the comparison is to fail. detail[0]: how the third source, a predicate,
// comes in: 0 there is none, 1 and, 2 or, 3 xor; flag[1]: it is negated; detail[1]: its position among the
// predicates. detail[2]: the position of setp's second destination, or -1. detail[3] is set's and that of
// packed comparisons.
WW_LANE u32 combined(Warp& warp, const Instruction& i, u32 mask) {
    if (i.detail[0] == 0) return mask;
    const u32 c = warp.predicate(i.predicate[i.detail[1]]) ^ (i.flag[1] ? kAllLanes : 0u);
    return i.detail[0] == 1 ? mask & c : i.detail[0] == 2 ? mask | c : mask ^ c;
}
void write_predicate(Warp& warp, u16 index, u32 value, u32 active) {
    u32& predicate = warp.predicate(index);
    predicate = merge_lanes(predicate, value, active);
}
Flow finish_setp(Warp& warp, const Instruction& i, u32 active, u32 mask) {
    if (i.flag[0]) mask = ~mask;
    const u32 p = combined(warp, i, mask), q = combined(warp, i, ~mask);
    write_predicate(warp, i.predicate[0], p, active);
    if (i.detail[2] >= 0) write_predicate(warp, i.predicate[i.detail[2]], q, active);
    return Flow::next;
}

#define WW_SIMD_FILE "emulator/execute/compare.inl"
#include "emulator/execute/each_simd_level.inl"

const Comparer& comparer(int compared, int comparison) {
    using Row = std::array<Comparer, kNumComparisons>;
    return at_level<const Row*>(baseline::kComparers, avx2::kComparers,
                                avx512::kComparers)[compared][comparison];
}

namespace rare {
#include "emulator/execute/lanewise.inl"

// detail[3] >> 8 is Compared, the low byte Comparison.
const Comparer& comparer_of(const Instruction& i) {
    return comparer(i.detail[3] >> 8, i.detail[3] & 0xff);
}

// Of packed halves: p is the lower one's, q the upper one's.
Flow setp_packed(Warp& warp, const Instruction& i, u32 active) {
    const Comparer& comparer = comparer_of(i);
    const u32 inverted = i.flag[0] ? kAllLanes : 0u;
    const u32 p = combined(warp, i, comparer.low(warp, i, 0) ^ inverted);
    const u32 q = combined(warp, i, comparer.high(warp, i, 0) ^ inverted);
    write_predicate(warp, i.predicate[0], p, active);
    if (i.detail[2] >= 0) write_predicate(warp, i.predicate[i.detail[2]], q, active);
    return Flow::next;
}

// `immediate` is what the destination becomes where it holds: all ones or 1.0 (of a half for packed types).
Flow set(Warp& warp, const Instruction& i, u32 active) {
    const Comparer& comparer = comparer_of(i);
    const u32 inverted = i.flag[0] ? kAllLanes : 0u;
    const u32 low = combined(warp, i, comparer.low(warp, i, 1) ^ inverted);
    const u32 high = comparer.high == nullptr ? 0u : combined(warp, i, comparer.high(warp, i, 1) ^ inverted);
    const auto value = static_cast<u32>(i.immediate);
    store_lanes(warp.lanes<u32>(i.slot[0]), active, [&](int l) {
        return ((low & kLaneBits.bit[l]) != 0 ? value : 0u) |
               ((high & kLaneBits.bit[l]) != 0 ? value << 16 : 0u);
    });
    return Flow::next;
}

// slct: a where c >= 0, else b. flag[0]: c is a float; flag[1]: flushed.
template <class Word>
Flow slct(Warp& warp, const Instruction& i, u32 active) {
    const Word* const a = warp.lanes<Word>(i.slot[1]);
    const Word* const b = warp.lanes<Word>(i.slot[2]);
    const u32* const c = warp.lanes<u32>(i.slot[3]);
    store_each_lane(warp.lanes<Word>(i.slot[0]), active, [&](int l) {
        const float x = i.flag[1] ? flush(float_of(c[l])) : float_of(c[l]);
        return (i.flag[0] ? x >= 0 : static_cast<i32>(c[l]) >= 0) ? a[l] : b[l];
    });
    return Flow::next;
}

// and, or, xor, not of predicates. flag[k]: source k is negated.
enum class Logic : u8 { bit_and, bit_or, bit_xor, bit_not };
template <Logic logic>
Flow predicate_logic(Warp& warp, const Instruction& i, u32 active) {
    const u32 a = warp.predicate(i.predicate[1]) ^ (i.flag[0] ? kAllLanes : 0u);
    u32 result = ~a;
    if constexpr (logic != Logic::bit_not) {
        const u32 b = warp.predicate(i.predicate[2]) ^ (i.flag[1] ? kAllLanes : 0u);
        result = logic == Logic::bit_and ? a & b : logic == Logic::bit_or ? a | b : a ^ b;
    }
    write_predicate(warp, i.predicate[0], result, active);
    return Flow::next;
}
}  // namespace rare

// How a comparison is carried out.
struct Operator {
    std::string_view name;
    Comparison comparison;
    bool exchanged, inverted;
};
constexpr Operator kFloatOperators[] = {
    {"eq", Comparison::equal, false, false},      {"ne", Comparison::not_equal, false, false},
    {"lt", Comparison::less, false, false},       {"le", Comparison::less_equal, false, false},
    {"gt", Comparison::less, true, false},        {"ge", Comparison::less_equal, true, false},
    {"equ", Comparison::not_equal, false, true},  {"neu", Comparison::equal, false, true},
    {"ltu", Comparison::less_equal, true, true},  {"leu", Comparison::less, true, true},
    {"gtu", Comparison::less_equal, false, true}, {"geu", Comparison::less, false, true},
    {"num", Comparison::ordered, false, false},   {"nan", Comparison::ordered, false, true},
};
constexpr Operator kIntegerOperators[] = {
    {"eq", Comparison::equal, false, false},
    {"ne", Comparison::equal, false, true},
    {"lt", Comparison::less, false, false},
    {"le", Comparison::less, true, true},
    {"gt", Comparison::less, true, false},
    {"ge", Comparison::less, false, true},
    // Names for unsigned types.
    {"lo", Comparison::less, false, false},
    {"ls", Comparison::less, true, true},
    {"hi", Comparison::less, true, false},
    {"hs", Comparison::less, false, true},
};

// The sources' type as it is compared; false when it is not covered.
bool compared_as(Type type, bool flushes, Compared& compared) {
    switch (type) {
        case Type::b16:
        case Type::u16: compared = Compared::u16; break;
        case Type::s16: compared = Compared::s16; break;
        case Type::b32:
        case Type::u32: compared = Compared::u32; break;
        case Type::s32: compared = Compared::s32; break;
        case Type::b64:
        case Type::u64: compared = Compared::u64; break;
        case Type::s64: compared = Compared::s64; break;
        case Type::f32: compared = flushes ? Compared::f32_ftz : Compared::f32; return true;
        case Type::f64: compared = Compared::f64; break;
        case Type::f16: compared = flushes ? Compared::f16_ftz : Compared::f16; return true;
        case Type::bf16: compared = Compared::bf16; break;
        case Type::f16x2: compared = flushes ? Compared::f16x2_ftz : Compared::f16x2; return true;
        case Type::bf16x2: compared = Compared::bf16x2; break;
        default: return false;
    }
    return !flushes;
}

// Takes the operator, .ftz and .and/.or/.xor, and sets flag[0], detail[0] and detail[3].
Status bind_comparison(Binding& b, Type source, const Operator** found) {
    const TypeFacts& facts = facts_of(source);
    const bool is_unsigned = !facts.is_float && !facts.is_signed;
    const bool is_bits = source == Type::b16 || source == Type::b32 || source == Type::b64;
    const std::span<const Operator> operators = facts.is_float ? std::span<const Operator>(kFloatOperators)
                                                               : std::span<const Operator>(kIntegerOperators);
    *found = nullptr;
    for (const Operator& candidate : operators) {
        if (b.take(candidate.name)) {
            *found = &candidate;
            break;
        }
    }
    if (*found == nullptr) return caller_error("expected a comparison operator for these types");
    const std::string_view name = (*found)->name;
    const bool is_equality = name == "eq" || name == "ne";
    const bool is_unsigned_name = name == "lo" || name == "ls" || name == "hi" || name == "hs";
    if ((is_bits && !is_equality) || (is_unsigned_name && !is_unsigned))
        return caller_error("expected a comparison operator for these types");
    Compared compared;
    if (!compared_as(source, b.take("ftz"), compared)) return caller_error("this form is not covered yet");
    const std::string_view logic = b.take_one_of({"and", "or", "xor"});
    Instruction& i = b.instruction();
    i.flag[0] = (*found)->inverted;
    i.detail[0] = logic == "and" ? 1 : logic == "or" ? 2 : logic == "xor" ? 3 : 0;
    i.detail[3] = static_cast<i32>(compared) << 8 | static_cast<i32>((*found)->comparison);
    return {};
}

void bind_sources(Binding& b, Type source, const Operator& comparison) {
    const int first = comparison.exchanged ? 2 : 1;
    b.source(first, source);
    b.source(3 - first, source);
    if (b.instruction().detail[0] != 0)
        b.instruction().detail[1] = b.source_predicate(b.operand(3), &b.instruction().flag[1]);
}

Status bind_setp(Binding& b) {
    WW_ASSIGN(const Type source, b.type());
    const Operator* comparison;
    WW_TRY(bind_comparison(b, source, &comparison));
    Instruction& i = b.instruction();
    const Operand& d = b.operand(0);
    const bool has_two = d.kind == Operand::Kind::pair && d.elements.size() == 2;
    b.dest_predicate(has_two ? d.elements[0] : d);
    i.detail[2] = has_two ? b.dest_predicate(d.elements[1]) : -1;
    bind_sources(b, source, *comparison);
    const Comparer& found = comparer(i.detail[3] >> 8, i.detail[3] & 0xff);
    b.handler(found.setp != nullptr ? found.setp : &rare::setp_packed);
    return {};
}

Status bind_set(Binding& b) {
    const std::vector<Type> types = b.take_types();
    if (types.size() != 2) return caller_error("expected two types");
    const auto [dest, source] = std::pair(types[0], types[1]);
    const bool is_packed = source == Type::f16x2 || source == Type::bf16x2;
    i64 value = 0;
    switch (dest) {
        case Type::u32:
        case Type::s32: value = is_packed ? 0xffff : 0xffffffff; break;
        case Type::f32: value = 0x3f800000; break;
        case Type::u16:
        case Type::s16: value = 0xffff; break;
        case Type::f16:
        case Type::f16x2: value = 0x3c00; break;
        case Type::bf16:
        case Type::bf16x2: value = 0x3f80; break;
        default: return caller_error("this form is not covered yet");
    }
    const bool dest_is_packed = dest == Type::f16x2 || dest == Type::bf16x2;
    if (is_packed ? !(dest == source || dest == Type::u32 || dest == Type::s32) : dest_is_packed)
        return caller_error("this form is not covered yet");
    const Operator* comparison;
    WW_TRY(bind_comparison(b, source, &comparison));
    b.dest(0, dest);
    bind_sources(b, source, *comparison);
    b.instruction().immediate = value;
    b.handler(&rare::set);
    return {};
}

Status bind_selp(Binding& b) {
    WW_ASSIGN(const Type type, b.type());
    const int bits = facts_of(type).bits;
    if (bits != 16 && bits != 32 && bits != 64) return caller_error("expected a type of 16, 32 or 64 bits");
    b.dest(0, type);
    b.source(1, type);
    b.source(2, type);
    b.source_predicate(b.operand(3), &b.instruction().flag[0]);
    b.handler(at_level(baseline::kSelp, avx2::kSelp, avx512::kSelp)[bits == 64 ? 1 : 0]);
    return {};
}

Status bind_slct(Binding& b) {
    const std::vector<Type> types = b.take_types();
    if (types.size() != 2 || (types[1] != Type::s32 && types[1] != Type::f32))
        return caller_error("expected two types, the second one .s32 or .f32");
    const int bits = facts_of(types[0]).bits;
    if (bits != 16 && bits != 32 && bits != 64) return caller_error("expected a type of 16, 32 or 64 bits");
    b.instruction().flag[0] = types[1] == Type::f32;
    if (types[1] == Type::f32) b.instruction().flag[1] = b.take("ftz");
    b.dest(0, types[0]);
    b.source(1, types[0]);
    b.source(2, types[0]);
    b.source(3, types[1]);
    b.handler(bits == 64 ? &rare::slct<u64> : &rare::slct<u32>);
    return {};
}

Status bind_predicate_logic(Binding& b) {
    if (!b.take("pred")) return not_mine();
    Instruction& i = b.instruction();
    const std::string_view opcode = b.statement().opcode;
    b.dest_predicate(b.operand(0));
    b.source_predicate(b.operand(1), &i.flag[0]);
    if (opcode != "not") b.source_predicate(b.operand(2), &i.flag[1]);
    using rare::Logic;
    b.handler(opcode == "and"   ? &rare::predicate_logic<Logic::bit_and>
              : opcode == "or"  ? &rare::predicate_logic<Logic::bit_or>
              : opcode == "xor" ? &rare::predicate_logic<Logic::bit_xor>
                                : &rare::predicate_logic<Logic::bit_not>);
    return {};
}

}  // namespace

std::span<const Opcode> compare_opcodes() {
    static constexpr Opcode kList[] = {
        {"set", bind_set, "9.7.6.1",
         ".cmp{.and,.or,.xor}{.ftz}.{u32,s32,f32,u16,s16,f16,bf16}.{b16,b32,b64,u16,u32,u64,s16,s32,s64,f32,"
         "f64,f16,bf16} "
         ".cmp{.and,.or,.xor}{.ftz}.{f16x2,u32,s32}.f16x2 .cmp{.and,.or,.xor}.{bf16x2,u32,s32}.bf16x2"},
        {"setp", bind_setp, "9.7.6.2",
         ".cmp{.and,.or,.xor}{.ftz}.{b16,b32,b64,u16,u32,u64,s16,s32,s64,f32,f64,f16,bf16,f16x2,bf16x2}"},
        {"selp", bind_selp, "9.7.6.3", ".{b16,b32,b64,u16,u32,u64,s16,s32,s64,f32,f64}"},
        {"slct", bind_slct, "9.7.6.4", "{.ftz}.{b16,b32,b64,u16,u32,u64,s16,s32,s64,f32,f64}.{s32,f32}"},
        {"and", bind_predicate_logic, "9.7.8.1", ".pred"},
        {"or", bind_predicate_logic, "9.7.8.2", ".pred"},
        {"xor", bind_predicate_logic, "9.7.8.3", ".pred"},
        {"not", bind_predicate_logic, "9.7.8.4", ".pred"},
    };
    return kList;
}

}  // namespace warpwright::emulator
