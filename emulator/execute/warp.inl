// SPDX-License-Identifier: Apache-2.0
// Instructions that exchange values between lanes; compiled once for each SIMD level (simd.h).
#include "emulator/execute/lanes.inl"

// True when every lane of the warp executes it and names all others.
static inline __attribute__((always_inline)) bool is_whole_warp(Warp& warp, const Instruction& instruction,
                                                                u32 active) {
    if (active != kAllLanes) return false;
    const i32 mask_slot = instruction.detail[kDetailMaskSlot];
    if (mask_slot < 0) return static_cast<u32>(instruction.detail[kDetailMask]) == kAllLanes;
    const u32* mask = warp.lanes<u32>(instruction.slot[mask_slot]);
    u32 common = kAllLanes;
    for (int l = 0; l < kLanes; ++l) common &= mask[l];
    return common == kAllLanes;
}

// Executes `each(lanes)` for every group of lanes that belong together; it says how to go on.
template <class F>
static inline __attribute__((always_inline)) Flow for_groups(Warp& warp, const Instruction& instruction,
                                                             u32 active, F each) {
    if (is_whole_warp(warp, instruction, active)) [[likely]]
        return each(kAllLanes);
    MaskGroups groups;
    Flow flow = find_groups(warp, instruction, active, groups);
    for (int i = 0; i < groups.num && flow == Flow::next; ++i) flow = each(groups.lanes[i]);
    return flow;
}

static inline __attribute__((always_inline)) void set_predicate(Warp& warp, const Instruction& instruction,
                                                                u32 lanes, u32 value) {
    u32& predicate = warp.predicate(instruction.predicate[0]);
    predicate = (predicate & ~lanes) | (value & lanes);
}

// --- shfl.sync: d, a, b, c ---

enum class Shuffle { up, down, bfly, idx };

// out[l] = from[lane[l]]
static inline __attribute__((always_inline)) void permute(const u32* from, const i32* lane, u32* out) {
    if constexpr (kLevel == SimdLevel::avx512) {  // a permutation of two vectors is one instruction
        typedef u32 Half __attribute__((vector_size(64), may_alias));
        const Half* const halves = reinterpret_cast<const Half*>(from);
        const Half* const sources = reinterpret_cast<const Half*>(lane);
        for (int i = 0; i < 2; ++i)
            reinterpret_cast<Half*>(out)[i] = __builtin_shuffle(halves[0], halves[1], sources[i]);
    } else {
        for (int l = 0; l < kLanes; ++l) out[l] = from[lane[l]];
    }
}

template <Shuffle kMode, bool kHasPredicate>
static Flow shuffle(Warp& warp, const Instruction& instruction, u32 active) {
    return for_groups(warp, instruction, active, [&](u32 lanes) {
        u32* const d = warp.lanes<u32>(instruction.slot[0]);
        const u32* const a = warp.lanes<u32>(instruction.slot[1]);
        const i32* const b = warp.lanes<i32>(instruction.slot[2]);
        const i32* const c = warp.lanes<i32>(instruction.slot[3]);
        alignas(64) i32 source[kLanes], is_inside[kLanes];
        for (i32 l = 0; l < kLanes; ++l) {
            const i32 offset = b[l] & 31, clamp = c[l] & 31, segment = c[l] >> 8 & 31;
            const i32 lowest = l & segment, limit = lowest | (clamp & ~segment);
            const i32 j = kMode == Shuffle::up     ? l - offset
                          : kMode == Shuffle::down ? l + offset
                          : kMode == Shuffle::bfly ? l ^ offset
                                                   : lowest | (offset & ~segment);
            is_inside[l] = kMode == Shuffle::up ? j >= limit : j <= limit;
            source[l] = is_inside[l] != 0 ? j : l;  // limits are below 32, so j is too
        }
        if (lanes != kAllLanes) {
            u32 strays = 0;
            for (int l = 0; l < kLanes; ++l) {
                if ((lanes >> l & 1u) == 0 || (lanes >> source[l] & 1u) != 0) continue;
                strays |= 1u << l;
                source[l] = l;
            }
            if (strays != 0 && warp.level() != CheckLevel::off) {
                return warp.report(
                    FindingKind::bad_operand, instruction, strays, 0,
                    "the source lane does not take part: it has exited or is not in the member "
                    "mask");
            }
        }
        alignas(64) u32 values[kLanes];
        permute(a, source, values);
        store_lanes(d, lanes, [&](int l) { return values[l]; });
        if constexpr (kHasPredicate)
            set_predicate(warp, instruction, lanes, mask_lanes([&](int l) { return is_inside[l] != 0; }));
        return Flow::next;
    });
}

// --- redux.sync: d, a ---

enum class Reduction { add, min_signed, max_signed, min_unsigned, max_unsigned, bit_and, bit_or, bit_xor };

template <Reduction kOperation>
static inline __attribute__((always_inline)) u32 combined(u32 x, u32 y) {
    switch (kOperation) {
        case Reduction::add: return x + y;
        case Reduction::min_signed: return static_cast<i32>(x) < static_cast<i32>(y) ? x : y;
        case Reduction::max_signed: return static_cast<i32>(x) > static_cast<i32>(y) ? x : y;
        case Reduction::min_unsigned: return x < y ? x : y;
        case Reduction::max_unsigned: return x > y ? x : y;
        case Reduction::bit_and: return x & y;
        case Reduction::bit_or: return x | y;
        case Reduction::bit_xor: return x ^ y;
    }
    return x;
}

template <Reduction kOperation>
static inline __attribute__((always_inline)) u32 reduced(const u32* values) {
    u32 half[16];
    for (int l = 0; l < 16; ++l) half[l] = combined<kOperation>(values[l], values[l + 16]);
    for (int l = 0; l < 8; ++l) half[l] = combined<kOperation>(half[l], half[l + 8]);
    for (int l = 0; l < 4; ++l) half[l] = combined<kOperation>(half[l], half[l + 4]);
    return combined<kOperation>(combined<kOperation>(half[0], half[1]),
                                combined<kOperation>(half[2], half[3]));
}

template <Reduction kOperation>
static Flow reduce(Warp& warp, const Instruction& instruction, u32 active) {
    return for_groups(warp, instruction, active, [&](u32 lanes) {
        u32* const d = warp.lanes<u32>(instruction.slot[0]);
        const u32* const a = warp.lanes<u32>(instruction.slot[1]);
        u32 result;
        if (lanes == kAllLanes) {
            result = reduced<kOperation>(a);
        } else {
            // Of add and xor, 0 is neutral; of the others, any value that takes part.
            constexpr bool kIsSum = kOperation == Reduction::add || kOperation == Reduction::bit_xor;
            const u32 neutral = kIsSum ? 0 : a[__builtin_ctz(lanes)];
            alignas(64) u32 values[kLanes];
            for (int l = 0; l < kLanes; ++l) values[l] = (lanes >> l & 1u) != 0 ? a[l] : neutral;
            result = reduced<kOperation>(values);
        }
        store_lanes(d, lanes, [&](int) { return result; });
        return Flow::next;
    });
}

// .NaN: one NaN makes the result NaN; otherwise all must be. -0 is less than +0.
template <bool kIsMax, bool kIsNaN, bool kIsAbsolute>
static Flow reduce_f32(Warp& warp, const Instruction& instruction, u32 active) {
    return for_groups(warp, instruction, active, [&](u32 lanes) {
        u32* const d = warp.lanes<u32>(instruction.slot[0]);
        const u32* const a = warp.lanes<u32>(instruction.slot[1]);
        bool has_nan = false, has_value = false;
        i32 best = 0;  // as an integer that is ordered as the values are
        for (int l = 0; l < kLanes; ++l) {
            if ((lanes >> l & 1u) == 0) continue;
            const u32 bits = kIsAbsolute ? a[l] & 0x7fff'ffffu : a[l];
            if ((bits & 0x7fff'ffffu) > 0x7f80'0000u) {
                has_nan = true;
                continue;
            }
            const i32 key = static_cast<i32>(bits >> 31 != 0 ? bits ^ 0x7fff'ffffu : bits);
            if (!has_value || (kIsMax ? key > best : key < best)) best = key;
            has_value = true;
        }
        const u32 bits = static_cast<u32>(best < 0 ? best ^ 0x7fff'ffff : best);
        const u32 result = !has_value || (kIsNaN && has_nan) ? 0x7fff'ffffu : bits;
        store_lanes(d, lanes, [&](int) { return result; });
        return Flow::next;
    });
}

// --- match.sync: d, a ---

template <class T>
static Flow match_any(Warp& warp, const Instruction& instruction, u32 active) {
    return for_groups(warp, instruction, active, [&](u32 lanes) {
        u32* const d = warp.lanes<u32>(instruction.slot[0]);
        const T* const a = warp.lanes<T>(instruction.slot[1]);
        alignas(64) u32 masks[kLanes] = {};
        for (u32 rest = lanes; rest != 0;) {
            const T value = a[__builtin_ctz(rest)];
            const u32 same = lanes & mask_lanes([&](int l) { return a[l] == value; });
            for (int l = 0; l < kLanes; ++l) masks[l] = (same >> l & 1u) != 0 ? same : masks[l];
            rest &= ~same;
        }
        store_lanes(d, lanes, [&](int l) { return masks[l]; });
        return Flow::next;
    });
}

template <class T, bool kHasPredicate>
static Flow match_all(Warp& warp, const Instruction& instruction, u32 active) {
    return for_groups(warp, instruction, active, [&](u32 lanes) {
        u32* const d = warp.lanes<u32>(instruction.slot[0]);
        const T* const a = warp.lanes<T>(instruction.slot[1]);
        const T value = a[__builtin_ctz(lanes)];
        const bool is_same = (lanes & ~mask_lanes([&](int l) { return a[l] == value; })) == 0;
        store_lanes(d, lanes, [&](int) { return is_same ? lanes : 0u; });
        if constexpr (kHasPredicate) set_predicate(warp, instruction, lanes, is_same ? kAllLanes : 0);
        return Flow::next;
    });
}

// --- vote.sync: d or a predicate, from a predicate ---

enum class Vote { all, any, uni, ballot };

template <Vote kMode>
static Flow vote(Warp& warp, const Instruction& instruction, u32 active) {
    return for_groups(warp, instruction, active, [&](u32 lanes) {
        const int source = kMode == Vote::ballot ? 0 : 1;
        u32 votes = warp.predicate(instruction.predicate[source]);
        if (instruction.flag[0]) votes = ~votes;
        votes &= lanes;
        if constexpr (kMode == Vote::ballot) {
            store_lanes(warp.lanes<u32>(instruction.slot[0]), lanes, [&](int) { return votes; });
        } else {
            const bool holds = kMode == Vote::all   ? votes == lanes
                               : kMode == Vote::any ? votes != 0
                                                    : votes == lanes || votes == 0;
            set_predicate(warp, instruction, lanes, holds ? kAllLanes : 0);
        }
        return Flow::next;
    });
}

// --- elect.sync: d | p; activemask: d ---

static Flow elect(Warp& warp, const Instruction& instruction, u32 active) {
    return for_groups(warp, instruction, active, [&](u32 lanes) {
        const u32 leader = static_cast<u32>(__builtin_ctz(lanes));  // PTX leaves it open
        store_lanes(warp.lanes<u32>(instruction.slot[0]), lanes, [&](int) { return leader; });
        set_predicate(warp, instruction, lanes, 1u << leader);
        return Flow::next;
    });
}

static Flow activemask(Warp& warp, const Instruction& instruction, u32 active) {
    store_lanes(warp.lanes<u32>(instruction.slot[0]), active, [&](int) { return active; });
    return Flow::next;
}

struct Handlers {
    Handler shuffle[4][2];  // by mode, and with a predicate
    Handler reduce[8];
    Handler reduce_f32[2][2][2];  // max, .NaN, .abs
    Handler match_any[2];         // b32, b64
    Handler match_all[2][2];      // the same, and with a predicate
    Handler vote[4];
    Handler elect, activemask;
};
constexpr Handlers kHandlers = {
    {{shuffle<Shuffle::up, false>, shuffle<Shuffle::up, true>},
     {shuffle<Shuffle::down, false>, shuffle<Shuffle::down, true>},
     {shuffle<Shuffle::bfly, false>, shuffle<Shuffle::bfly, true>},
     {shuffle<Shuffle::idx, false>, shuffle<Shuffle::idx, true>}},
    {reduce<Reduction::add>, reduce<Reduction::min_signed>, reduce<Reduction::max_signed>,
     reduce<Reduction::min_unsigned>, reduce<Reduction::max_unsigned>, reduce<Reduction::bit_and>,
     reduce<Reduction::bit_or>, reduce<Reduction::bit_xor>},
    {{{reduce_f32<false, false, false>, reduce_f32<false, false, true>},
      {reduce_f32<false, true, false>, reduce_f32<false, true, true>}},
     {{reduce_f32<true, false, false>, reduce_f32<true, false, true>},
      {reduce_f32<true, true, false>, reduce_f32<true, true, true>}}},
    {match_any<u32>, match_any<u64>},
    {{match_all<u32, false>, match_all<u32, true>}, {match_all<u64, false>, match_all<u64, true>}},
    {vote<Vote::all>, vote<Vote::any>, vote<Vote::uni>, vote<Vote::ballot>},
    elect,
    activemask,
};
