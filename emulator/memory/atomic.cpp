// SPDX-License-Identifier: Apache-2.0
// atom and red: PTX ISA 9.7.13.5 and 9.7.13.6. Lanes go one after the other, from the lowest; on global
// memory each update is an atomic of the host. All are sequentially consistent: orders and scopes ask for
// less.
#include <cstring>
#include <optional>
#include <type_traits>
#include <vector>

#include <fmt/format.h>
#include "emulator/execute/formats.h"
#include "emulator/memory/access.h"
#include "emulator/memory/binders.h"

namespace warpwright::emulator {
namespace {

#include "emulator/execute/lanes.inl"
#include "emulator/memory/lookup.inl"

// Reads, changes and writes one element; `before` is what it was. True when that changed it.
using Update = bool (*)(std::byte* at, bool is_global, const std::byte* b, const std::byte* c,
                        std::byte* before);

template <class T, class F>
bool update(std::byte* at, bool is_global, std::byte* result, F f) {
    T before, after;
    if (is_global) {
        T* const target = reinterpret_cast<T*>(at);
        before = __atomic_load_n(target, __ATOMIC_SEQ_CST);
        do {
            after = f(before);
        } while (
            !__atomic_compare_exchange_n(target, &before, after, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    } else {
        std::memcpy(&before, at, sizeof(T));
        after = f(before);
        std::memcpy(at, &after, sizeof(T));
    }
    std::memcpy(result, &before, sizeof(T));
    return before != after;
}

template <class T>
T read(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
}

// f(old, b), on unsigned words of the type's size.
template <class T, T f(T, T)>
bool with_one(std::byte* at, bool is_global, const std::byte* b, const std::byte*, std::byte* before) {
    const T operand = read<T>(b);
    return update<T>(at, is_global, before, [&](T old) { return f(old, operand); });
}

template <class T>
T exchange(T, T b) {
    return b;
}
template <class T>
T add(T old, T b) {
    return static_cast<T>(old + b);
}
template <class T>
T bit_and(T old, T b) {
    return old & b;
}
template <class T>
T bit_or(T old, T b) {
    return old | b;
}
template <class T>
T bit_xor(T old, T b) {
    return old ^ b;
}
template <class T>
T smaller(T old, T b) {
    return old < b ? old : b;
}
template <class T>
T larger(T old, T b) {
    return old > b ? old : b;
}
template <class T>
T smaller_signed(T old, T b) {
    using Signed = std::make_signed_t<T>;
    return static_cast<Signed>(old) < static_cast<Signed>(b) ? old : b;
}
template <class T>
T larger_signed(T old, T b) {
    using Signed = std::make_signed_t<T>;
    return static_cast<Signed>(old) > static_cast<Signed>(b) ? old : b;
}
u32 increment(u32 old, u32 b) {
    return old >= b ? 0 : old + 1;
}
u32 decrement(u32 old, u32 b) {
    return old == 0 || old > b ? b : old - 1;
}

template <class T>
bool compare_and_swap(std::byte* at, bool is_global, const std::byte* b, const std::byte* c,
                      std::byte* before) {
    const T expected = read<T>(b), value = read<T>(c);
    return update<T>(at, is_global, before, [&](T old) { return old == expected ? value : old; });
}

// 128 bits: what else is atomic on them takes the same lock.
template <bool compares>
bool swap_wide(std::byte* at, bool is_global, const std::byte* b, const std::byte* c, std::byte* before) {
    std::optional<WideLock> lock;
    if (is_global) lock.emplace(at);
    const Wide old = read<Wide>(at), operand = read<Wide>(b);
    const Wide after = !compares ? operand : old == operand ? read<Wide>(c) : old;
    std::memcpy(at, &after, sizeof(Wide));
    std::memcpy(before, &old, sizeof(Wide));
    return !(old == after);
}

// --- floating point ---

float flushed(float x) {
    return (float_bits(x) & 0x7f800000u) == 0 ? float_of(float_bits(x) & 0x80000000u) : x;
}
u32 sum_bits(float sum) {
    return sum != sum ? kNanF32 : float_bits(sum);
}
// On global memory subnormal numbers are flushed, on shared memory they are not: PTX ISA 9.7.13.5.
u32 add_f32(u32 old, u32 b) {
    return sum_bits(float_of(old) + float_of(b));
}
u32 add_f32_flushed(u32 old, u32 b) {
    const float sum = flushed(float_of(old)) + flushed(float_of(b));
    return sum_bits(flushed(sum));
}
bool add_float(std::byte* at, bool is_global, const std::byte* b, const std::byte* c, std::byte* before) {
    return (is_global ? with_one<u32, add_f32_flushed> : with_one<u32, add_f32>)(at, is_global, b, c, before);
}
// As Hopper does: global memory takes the operand's NaN before its own, as it is; on shared memory it is the
// other way round, and the NaN is made quiet.
template <bool is_global>
u64 add_f64(u64 old, u64 b) {
    const double x = std::bit_cast<double>(old), y = std::bit_cast<double>(b), sum = x + y;
    constexpr u64 kQuiet = u64{1} << 51;
    if (is_global && y != y) return b;
    if (x != x) return is_global ? old : old | kQuiet;
    if (y != y) return b | kQuiet;
    return sum != sum ? 0xfff8'0000'0000'0000ull : std::bit_cast<u64>(sum);
}
bool add_double(std::byte* at, bool is_global, const std::byte* b, const std::byte* c, std::byte* before) {
    return (is_global ? with_one<u64, add_f64<true>> : with_one<u64, add_f64<false>>)(at, is_global, b, c,
                                                                                      before);
}

struct HalfF16 {
    static float decode(u32 bits) { return decode_f16(bits); }
    static u32 encode(float x) { return encode_f16(x); }
    static constexpr u32 kNan = kNanF16;
};
struct HalfBf16 {
    static float decode(u32 bits) { return decode_bf16(bits); }
    static u32 encode(float x) { return encode_bf16(x); }
    static constexpr u32 kNan = kNanBf16;
};

// A float has more than twice the bits of both: the sum in it, rounded again, is rounded once.
template <class Half>
u16 add_half(u16 old, u16 b) {
    return static_cast<u16>(Half::encode(Half::decode(old) + Half::decode(b)));
}
template <class Half, bool is_max>
u16 extreme_half(u16 old, u16 b) {
    const float x = Half::decode(old), y = Half::decode(b);
    if (x != x) return y != y ? static_cast<u16>(Half::kNan) : b;
    if (y != y) return old;
    if (x == y) return is_max ? old & b : old | b;  // zeros differ in their sign
    return (x > y) == is_max ? old : b;
}
template <u16 f(u16, u16)>
u32 both(u32 old, u32 b) {
    const u32 low = f(static_cast<u16>(old), static_cast<u16>(b));
    const u32 high = f(static_cast<u16>(old >> 16), static_cast<u16>(b >> 16));
    return low | high << 16;
}

struct Operation {
    const char* name;
    Type type;
    Update update;
    bool is_noftz = false;   // the modifier must be there
    bool is_vector = false;  // only as .v2, .v4, .v8
};

template <class Half>
constexpr Operation half_operation(const char* name, Type type) {
    const bool is_add = name[0] == 'a', is_max = name[1] == 'a';
    return {name, type,
            is_add   ? with_one<u16, add_half<Half>>
            : is_max ? with_one<u16, extreme_half<Half, true>>
                     : with_one<u16, extreme_half<Half, false>>,
            true, !is_add};
}
template <class Half>
constexpr Operation pair_operation(const char* name, Type type) {
    const bool is_add = name[0] == 'a', is_max = name[1] == 'a';
    return {name, type,
            is_add   ? with_one<u32, both<add_half<Half>>>
            : is_max ? with_one<u32, both<extreme_half<Half, true>>>
                     : with_one<u32, both<extreme_half<Half, false>>>,
            true, !is_add};
}

constexpr Operation kOperations[] = {
    {"and", Type::b32, with_one<u32, bit_and<u32>>},
    {"and", Type::b64, with_one<u64, bit_and<u64>>},
    {"or", Type::b32, with_one<u32, bit_or<u32>>},
    {"or", Type::b64, with_one<u64, bit_or<u64>>},
    {"xor", Type::b32, with_one<u32, bit_xor<u32>>},
    {"xor", Type::b64, with_one<u64, bit_xor<u64>>},
    {"exch", Type::b32, with_one<u32, exchange<u32>>},
    {"exch", Type::b64, with_one<u64, exchange<u64>>},
    {"exch", Type::b128, swap_wide<false>},
    {"cas", Type::b16, compare_and_swap<u16>},
    {"cas", Type::b32, compare_and_swap<u32>},
    {"cas", Type::b64, compare_and_swap<u64>},
    {"cas", Type::b128, swap_wide<true>},
    {"add", Type::u32, with_one<u32, add<u32>>},
    {"add", Type::s32, with_one<u32, add<u32>>},
    {"add", Type::u64, with_one<u64, add<u64>>},
    {"add", Type::f32, add_float},
    {"add", Type::f64, add_double},
    {"inc", Type::u32, with_one<u32, increment>},
    {"dec", Type::u32, with_one<u32, decrement>},
    {"min", Type::u32, with_one<u32, smaller<u32>>},
    {"min", Type::s32, with_one<u32, smaller_signed<u32>>},
    {"min", Type::u64, with_one<u64, smaller<u64>>},
    {"min", Type::s64, with_one<u64, smaller_signed<u64>>},
    {"max", Type::u32, with_one<u32, larger<u32>>},
    {"max", Type::s32, with_one<u32, larger_signed<u32>>},
    {"max", Type::u64, with_one<u64, larger<u64>>},
    {"max", Type::s64, with_one<u64, larger_signed<u64>>},
    half_operation<HalfF16>("add", Type::f16),
    half_operation<HalfF16>("min", Type::f16),
    half_operation<HalfF16>("max", Type::f16),
    half_operation<HalfBf16>("add", Type::bf16),
    half_operation<HalfBf16>("min", Type::bf16),
    half_operation<HalfBf16>("max", Type::bf16),
    pair_operation<HalfF16>("add", Type::f16x2),
    pair_operation<HalfF16>("min", Type::f16x2),
    pair_operation<HalfF16>("max", Type::f16x2),
    pair_operation<HalfBf16>("add", Type::bf16x2),
    pair_operation<HalfBf16>("min", Type::bf16x2),
    pair_operation<HalfBf16>("max", Type::bf16x2),
};

// detail[1]: index in kOperations; detail[2]: elements; detail[3]: bytes of one. Slots: results, if any, the
// address, operands b, then c.
constexpr int kFlagReturns = 2;

// A lane's element of a register, wherever it is in the register file.
std::byte* element_of(Warp& warp, u16 slot, int bytes, int lane) {
    // Registers of 8 and 16 bits have a word for each lane.
    return warp.lanes<std::byte>(slot) + static_cast<std::ptrdiff_t>(lane) * (bytes < 4 ? 4 : bytes);
}

template <int kBytes>
Flow change(Warp& warp, const Instruction& instruction, u32 active) {
    const Operation& operation = kOperations[instruction.detail[1]];
    const int count = instruction.detail[2], bytes = instruction.detail[3];
    const bool returns = instruction.flag[kFlagReturns];
    const int address_slot = returns ? count : 0;
    const u16* b = instruction.slot + address_slot + 1;
    const u16* c = b + count;  // read by cas only, which has it
    alignas(16) std::byte before[kLanes * kBytes];
    bool changes = false, is_elsewhere = false;
    const Flow flow = for_each_span<kBytes, Use::atomic>(
        warp, instruction, access_space(instruction), addresses_of(warp, instruction, address_slot), active,
        [&](const Lookup& lookup) {
            if (!lookup.span.is_global && !lookup.span.is_shared) {
                is_elsewhere = true;
                return;
            }
            for (u32 rest = lookup.inside; rest != 0; rest &= rest - 1) {
                const int l = first_lane(rest);
                for (int e = 0; e < count; ++e) {
                    changes |=
                        operation.update(bytes_of<kBytes>(lookup, l) + e * bytes, lookup.span.is_global,
                                         element_of(warp, b[e], bytes, l), element_of(warp, c[e], bytes, l),
                                         before + l * kBytes + e * bytes);
                }
            }
        });
    if (flow != Flow::next) return flow;
    if (is_elsewhere) {
        return warp.report(FindingKind::out_of_bounds, instruction, active, 0,
                           "expected an address of global or shared memory");
    }
    if (returns) {
        for (int e = 0; e < count; ++e) {
            for (u32 rest = active; rest != 0; rest &= rest - 1) {
                const int l = first_lane(rest);
                std::memcpy(element_of(warp, instruction.slot[e], bytes, l), before + l * kBytes + e * bytes,
                            static_cast<std::size_t>(bytes));
            }
        }
    }
    if (changes) {
        warp.note_change();
        return Flow::next;
    }
    // Who waits for a lock lets others run.
    const bool is_swap = operation.name[0] == 'c' || operation.name[0] == 'e';
    return is_swap ? Flow::yield : Flow::next;
}

Handler handler_for(int bytes) {
    switch (bytes) {
        case 2: return change<2>;
        case 4: return change<4>;
        case 8: return change<8>;
        case 16: return change<16>;
        case 32: return change<32>;
        default: return nullptr;
    }
}

Status bind_atomic(Binding& b, bool returns) {
    for (const std::string_view modifier : b.remaining()) {
        if (modifier == "async") return caller_error("not covered yet: red.async");
    }
    const Operand& address = b.operand(returns ? 1 : 0);
    const std::optional<Space> space = take_space(b, address);
    b.take_one_of({"relaxed", "acquire", "release", "acq_rel"});
    take_scope(b);
    const std::string_view name =
        b.take_one_of({"and", "or", "xor", "exch", "cas", "add", "inc", "dec", "min", "max"});
    const bool is_noftz = b.take("noftz");
    const std::string_view vector = b.take_one_of({"v2", "v4", "v8"});
    const int count = vector.empty() ? 1 : vector[1] - '0';
    WW_ASSIGN(const Type type, b.type());

    int index = -1;
    for (int i = 0; i < static_cast<int>(std::size(kOperations)); ++i) {
        if (kOperations[i].name == name && kOperations[i].type == type) index = i;
    }
    const int bytes = facts_of(type).bits / 8;
    const bool is_swap = name == "cas" || name == "exch";
    if (index < 0 || (is_swap && !returns) || kOperations[index].is_noftz != is_noftz ||
        (kOperations[index].is_vector && count == 1))
        return caller_error("not covered yet: this operation with this type");
    const bool has_vector = (type == Type::f32 || kOperations[index].is_noftz) && count * bytes <= 16;
    if (count > 1 && (!has_vector || space != Space::global))
        return caller_error(fmt::format("not covered yet: .v{} of this type or state space", count));
    const Handler handler = handler_for(count * bytes);
    if (handler == nullptr) return caller_error("not covered yet: this size");
    if (space && *space != Space::global && *space != Space::shared && *space != Space::generic)
        b.error("expected state space .global or .shared");

    Instruction& instruction = b.instruction();
    const auto check_count = [&](int found) {
        if (found != count) b.error(fmt::format("expected {} elements, got {}", count, found));
    };
    if (returns) check_count(b.dests(b.operand(0), type));
    bool is_narrow = false;
    b.address(address, &is_narrow);
    int operand = returns ? 2 : 1;
    check_count(b.sources(b.operand(operand++), type));
    if (name == "cas") b.source(operand++, type);
    take_cache_policy(b, operand);
    instruction.detail[0] = static_cast<i32>(space.value_or(Space::generic));
    instruction.detail[1] = index;
    instruction.detail[2] = count;
    instruction.detail[3] = bytes;
    instruction.flag[kFlagNarrow] = is_narrow;
    instruction.flag[kFlagReturns] = returns;
    b.handler(handler);
    return {};
}

Status bind_atom(Binding& b) {
    return bind_atomic(b, true);
}
Status bind_red(Binding& b) {
    return bind_atomic(b, false);
}

constexpr const char* kForms =
    "{.order}{.scope}{.global .shared}: and or xor b32 b64; add u32 s32 u64 f32 f64, .noftz f16 f16x2 bf16 "
    "bf16x2; inc dec u32; min max u32 s32 u64 s64; .global.{v2 v4 v8} add f32, add min max .noftz f16 f16x2 "
    "bf16 bf16x2";

const Opcode kOpcodes[] = {
    {"atom", bind_atom, "9.7.13.5", "as red; exch b32 b64 b128; cas b16 b32 b64 b128"},
    {"red", bind_red, "9.7.13.6", kForms},
};

}  // namespace

std::span<const Opcode> atomic_opcodes() {
    return kOpcodes;
}

}  // namespace warpwright::emulator
