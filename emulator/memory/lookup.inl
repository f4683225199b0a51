// SPDX-License-Identifier: Apache-2.0
// Included by the .inl files of memory/ at their top, after lanes.inl: the addresses of a warp, and the spans
// that they lie in.

template <int kBytes>
struct Bits;
template <>
struct Bits<1> {
    using Type = u8;
};
template <>
struct Bits<2> {
    using Type = u16;
};
template <>
struct Bits<4> {
    using Type = u32;
};
template <>
struct Bits<8> {
    using Type = u64;
};
template <>
struct Bits<16> {
    using Type = Wide;
};

// How the bytes of the lanes lie to each other.
enum class Layout : u8 { scattered, row, same };  // row: lane l's follow those of lane l - 1

struct Lookup {
    Span span;
    u32 inside = 0;  // lanes whose bytes are in the span
    Layout layout = Layout::scattered;
    u64 misaligned = 0;                 // the low bits of all addresses
    alignas(64) u64 offset[kLanes];     // in the span; of lanes that are not inside, one that is
    alignas(64) u64 address[kLanes];    // of lanes that are not active, one that is
};

static inline __attribute__((always_inline)) void read_addresses(Warp& warp, u16 slot, bool is_narrow,
                                                                 i64 immediate, u32 active, u64* address) {
    const u64 plus = static_cast<u64>(immediate);
    if (is_narrow) {
        const u32* base = warp.lanes<u32>(slot);
        for (int l = 0; l < kLanes; ++l) address[l] = base[l] + plus;
    } else {
        const u64* base = warp.lanes<u64>(slot);
        for (int l = 0; l < kLanes; ++l) address[l] = base[l] + plus;
    }
    if (active != kAllLanes) {
        const u64 lead = address[first_lane(active)];
        for (int l = 0; l < kLanes; ++l) address[l] = active >> l & 1u ? address[l] : lead;
    }
}

// The lanes of `todo` that lie in the span of the first of them. False when that one lies in none.
template <int kBytes>
static inline __attribute__((always_inline)) bool look_up(Warp& warp, const Instruction& instruction,
                                                          Space space, u32 todo, Lookup& lookup) {
    const int lead = first_lane(todo);
    lookup.span = {};
    Span& span = lookup.span;
    if (!find_span(warp, instruction, space, lookup.address[lead], span) || span.bytes < kBytes) [[unlikely]]
        return false;
    const u64 limit = span.bytes - kBytes;
    const u64 base = span.base;
    const u64 lead_offset = lookup.address[lead] - base;
    if (lead_offset > limit) [[unlikely]]
        return false;

    const u64 row = lookup.address[0] - base;
    u64 outside = 0, low = 0, skew = 0, spread = 0;
    for (int l = 0; l < kLanes; ++l) {
        const u64 address = lookup.address[l];
        const u64 offset = address - base;
        low |= address;
        outside |= offset > limit ? ~0ull : 0ull;
        skew |= offset ^ (row + static_cast<u64>(l * kBytes));
        spread |= offset ^ row;
        lookup.offset[l] = offset;
    }
    lookup.misaligned = low & (kBytes - 1);
    lookup.inside = todo;
    lookup.layout = skew == 0 ? Layout::row : spread == 0 ? Layout::same : Layout::scattered;
    if (outside != 0) [[unlikely]] {
        lookup.layout = Layout::scattered;
        for (int l = 0; l < kLanes; ++l) {
            if (lookup.offset[l] <= limit) continue;
            lookup.offset[l] = lead_offset;
            lookup.inside &= ~(1u << l);
        }
    }
    if (span.lane_stride != 0) {
        lookup.layout = Layout::scattered;
        for (int l = 0; l < kLanes; ++l) lookup.offset[l] += static_cast<u64>(l) * span.lane_stride;
    }
    return true;
}

// What is wrong with the shadow of the lanes' bytes, all bits together: of stores only that a copy to them is
// on its way.
template <int kBytes, Use kUse>
static inline __attribute__((always_inline)) u64 wrong_shadow(const Lookup& lookup) {
    using Word = typename Bits<kBytes < 8 ? kBytes : 8>::Type;
    constexpr Word kWritten = static_cast<Word>(0x0101'0101'0101'0101ull * kShadowWritten);
    constexpr Word kAsync = static_cast<Word>(0x0101'0101'0101'0101ull * kShadowAsync);
    const u8* shadow = lookup.span.shadow;
    u64 wrong = 0;
    const auto read = [&](const u8* at) {
        Word word;
        std::memcpy(&word, at, sizeof(Word));
        wrong |= static_cast<Word>(kUse == Use::store ? word & kAsync : word ^ kWritten);
    };
    constexpr int kWordBytes = static_cast<int>(sizeof(Word));
    if (lookup.layout == Layout::row) {
        for (int i = 0; i < kLanes * kBytes; i += kWordBytes) read(shadow + lookup.offset[0] + i);
    } else if (lookup.layout == Layout::same) {
        for (int i = 0; i < kBytes; i += kWordBytes) read(shadow + lookup.offset[0] + i);
    } else {
        for (int l = 0; l < kLanes; ++l) {
            for (int i = 0; i < kBytes; i += kWordBytes) read(shadow + lookup.offset[l] + i);
        }
    }
    return wrong;
}

// Looks the bytes at lookup.address up and checks them, span by span; body(lookup) for each. The one place
// that every access of a warp comes through.
template <int kBytes, Use kUse, class Body>
static inline __attribute__((always_inline)) Flow for_each_span(Warp& warp, const Instruction& instruction,
                                                                Space space, u32 active, Lookup& lookup,
                                                                Body body) {
    u32 todo = active;
    do {
        if (!look_up<kBytes>(warp, instruction, space, todo, lookup) ||
            (kUse != Use::load && lookup.span.is_read_only)) [[unlikely]]
            return report_address(warp, instruction, space, todo, lookup.address, kBytes, kUse);
        // An atomic has no meaning across the host's words either.
        if (lookup.misaligned != 0 && (kUse == Use::atomic || warp.level() != CheckLevel::off)) [[unlikely]]
            return report_misaligned(warp, instruction, active, lookup.address, kBytes);
        // Stores can only be wrong in shared memory: copies go there.
        if (lookup.span.is_checked && (kUse != Use::store || lookup.span.is_shared)) {
            if (wrong_shadow<kBytes, kUse>(lookup) != 0) [[unlikely]]
                return report_shadow(warp, instruction, space, lookup.span, lookup.inside, lookup.offset, kBytes,
                                     kUse);
        }
        body(lookup);
        todo &= ~lookup.inside;
    } while (todo != 0);
    return Flow::next;
}

// The same for the addresses in a slot.
template <int kBytes, Use kUse, class Body>
static inline __attribute__((always_inline)) Flow for_each_span(Warp& warp, const Instruction& instruction,
                                                                u16 address_slot, u32 active, Body body) {
    Lookup lookup;
    read_addresses(warp, address_slot, instruction.flag[kFlagNarrow], instruction.immediate, active,
                   lookup.address);
    return for_each_span<kBytes, kUse>(warp, instruction, access_space(instruction), active, lookup, body);
}
