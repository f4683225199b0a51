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
enum class Layout : u8 {
    row,        // those of lane l begin l times their number behind those of lane 0
    same,       // all lanes have the same ones
    scattered,  // anything else
};

struct Lookup {
    Span span;
    u32 inside = 0;  // lanes whose bytes are in the span
    Layout layout = Layout::scattered;
    bool is_aligned = true;
    u64 first = 0;                   // in the span: of lane 0 in a row (whether active or not), of all lanes
    alignas(64) u64 offset[kLanes];  // of scattered lanes; of those that are not inside, one that is
};

template <int kBytes>
static inline __attribute__((always_inline)) std::byte* bytes_of(const Lookup& lookup, int lane) {
    switch (lookup.layout) {
        case Layout::row: return lookup.span.data + lookup.first + lane * kBytes;
        case Layout::same: return lookup.span.data + lookup.first;
        default: return lookup.span.data + lookup.offset[lane];
    }
}

// Whether the bytes of the lanes in `active` are in a row, or the same, as those of lane `lead` are.
template <int kStep, class T>
static inline __attribute__((always_inline)) bool is_stepping(const T* base, int lead, u32 active) {
    const T first = base[lead] - static_cast<T>(lead * kStep);
    T skew = 0;
    if (active == kAllLanes) {
        for (int l = 0; l < kLanes; ++l) skew |= base[l] ^ static_cast<T>(first + static_cast<T>(l * kStep));
    } else {
        for (int l = 0; l < kLanes; ++l) {
            const T difference = base[l] ^ static_cast<T>(first + static_cast<T>(l * kStep));
            skew |= (active & kLaneBits.bit[l]) != 0 ? difference : T{0};
        }
    }
    return skew == 0;
}

template <int kStep>
static inline __attribute__((always_inline)) bool is_stepping(const Addresses& addresses, int lead, u32 active) {
    return addresses.is_narrow ? is_stepping<kStep>(static_cast<const u32*>(addresses.base), lead, active)
                               : is_stepping<kStep>(static_cast<const u64*>(addresses.base), lead, active);
}

// lookup.offset and lookup.inside of lanes anywhere; `limit` is the last offset at which the bytes are inside.
// Returns all bits of the lanes' addresses together.
template <class T>
static inline __attribute__((always_inline)) u64 scatter_lanes(const T* base, u64 plus, u64 limit, int lead,
                                                               u32 todo, Lookup& lookup) {
    const u64 lead_address = base[lead] + plus;
    const u64 span_base = lookup.span.base;
    u64 low = 0, outside = 0;
    if (todo == kAllLanes) {
        for (int l = 0; l < kLanes; ++l) {
            const u64 address = base[l] + plus;
            low |= address;
            outside |= address - span_base > limit ? 1u : 0u;
            lookup.offset[l] = address - span_base;
        }
    } else {
        for (int l = 0; l < kLanes; ++l) {
            const u64 address = (todo & kLaneBits.bit[l]) != 0 ? base[l] + plus : lead_address;
            low |= address;
            outside |= address - span_base > limit ? 1u : 0u;
            lookup.offset[l] = address - span_base;
        }
    }
    lookup.inside = todo;
    if (outside != 0) [[unlikely]] {
        for (int l = 0; l < kLanes; ++l) {
            if (lookup.offset[l] <= limit) continue;
            lookup.offset[l] = lead_address - span_base;
            lookup.inside &= ~(1u << l);
        }
    }
    if (const u64 stride = lookup.span.lane_stride; stride != 0) {
        for (int l = 0; l < kLanes; ++l) lookup.offset[l] += static_cast<u64>(l) * stride;
    }
    return low;
}

// The lanes of `todo` that lie in the span of the first of them. False when that one lies in none.
// `misaligned`: low bits of their addresses.
template <int kBytes>
static inline __attribute__((always_inline)) bool look_up(Warp& warp, const Instruction& instruction,
                                                          Space space, const Addresses& addresses, u32 todo,
                                                          Lookup& lookup, u64& misaligned) {
    const int lead = first_lane(todo);
    const u64 lead_address = addresses[lead];
    Span& span = lookup.span;
    span = {};
    if (!find_span(warp, instruction, space, lead_address, span)) [[unlikely]]
        return false;
    const u64 offset = lead_address - span.base;
    const u64 row = offset - static_cast<u64>(lead) * kBytes;
    // The next lane tells what to expect.
    const u32 others = todo & (todo - 1);
    const int next = others == 0 ? lead : first_lane(others);
    const u64 step = span.lane_stride == 0 ? addresses[next] - lead_address : ~0ull;
    if (step == static_cast<u64>(next - lead) * kBytes && span.bytes >= kLanes * kBytes &&
        row <= span.bytes - kLanes * kBytes && is_stepping<kBytes>(addresses, lead, todo)) {
        lookup.layout = Layout::row;
        lookup.first = row;
        lookup.inside = todo;
        misaligned = lead_address & (kBytes - 1);
        return true;
    }
    if (span.bytes < kBytes || offset > span.bytes - kBytes) [[unlikely]]
        return false;
    if (step == 0 && is_stepping<0>(addresses, lead, todo)) {
        lookup.layout = Layout::same;
        lookup.first = offset;
        lookup.inside = todo;
        misaligned = lead_address & (kBytes - 1);
        return true;
    }
    lookup.layout = Layout::scattered;
    const u64 limit = span.bytes - kBytes;
    const u64 low =
        addresses.is_narrow
            ? scatter_lanes(static_cast<const u32*>(addresses.base), addresses.plus, limit, lead, todo, lookup)
            : scatter_lanes(static_cast<const u64*>(addresses.base), addresses.plus, limit, lead, todo, lookup);
    misaligned = low & (kBytes - 1);
    return true;
}

typedef u64 ShadowWord __attribute__((vector_size(16)));

// Whether something is wrong with the shadow of the lanes' bytes: of stores only that a copy to them is on its
// way.
template <int kBytes, Use kUse>
static inline __attribute__((always_inline)) bool is_shadow_wrong(const Lookup& lookup) {
    using Scalar = typename Bits<kBytes < 8 ? kBytes : 8>::Type;
    using Word = std::conditional_t<kBytes >= 16, ShadowWord, Scalar>;
    constexpr int kWordBytes = static_cast<int>(sizeof(Word)), kWords = kBytes / kWordBytes;
    constexpr Scalar kRight = static_cast<Scalar>(0x0101'0101'0101'0101ull *
                                                  (kUse == Use::store ? kShadowAsync : kShadowWritten));
    Word wrong = {};
    const auto look = [&](const u8* shadow) {
        Word marks;
        std::memcpy(&marks, shadow, kWordBytes);
        wrong |= kUse == Use::store ? marks & kRight : marks ^ kRight;
    };
    const u8* const shadow = lookup.span.shadow + lookup.first;
    if (lookup.layout == Layout::row) {
        if (lookup.inside == kAllLanes) {
            for (int i = 0; i < kLanes * kWords; ++i) look(shadow + i * kWordBytes);
        } else {
            for (u32 rest = lookup.inside; rest != 0;) {
                const Run run = first_run(rest);
                const u8* const marks = shadow + run.begin * kBytes;
                for (int i = 0; i < run.count * kWords; ++i) look(marks + i * kWordBytes);
                rest &= ~run.lanes;
            }
        }
    } else if (lookup.layout == Layout::same) {
        for (int i = 0; i < kWords; ++i) look(shadow + i * kWordBytes);
    } else {
#pragma GCC unroll 32
        for (int l = 0; l < kLanes; ++l) {
            for (int i = 0; i < kWords; ++i)
                look(lookup.span.shadow + lookup.offset[l] + i * kWordBytes);
        }
    }
    if constexpr (kBytes >= 16)
        return (wrong[0] | wrong[1]) != 0;
    else
        return wrong != 0;
}

// Looks the lanes' bytes up and checks them, span by span; body(lookup) for each. Every access comes through
// here, but for copies that read a part of their bytes (land_cut() in async.cpp) and discard.
template <int kBytes, Use kUse, class Body>
static inline __attribute__((always_inline)) Flow for_each_span(Warp& warp, const Instruction& instruction,
                                                                Space space, const Addresses& addresses,
                                                                u32 active, Body body) {
    if ((warp.unordered & active) != 0) [[unlikely]] {
        if (const Flow flow = check_order(warp, instruction, space, active, addresses, kUse);
            flow != Flow::next)
            return flow;
    }
    Lookup lookup;
    u64 misaligned = 0;
    u32 todo = active;
    do {
        if (!look_up<kBytes>(warp, instruction, space, addresses, todo, lookup, misaligned) ||
            (kUse != Use::load && lookup.span.is_read_only)) [[unlikely]]
            return report_address(warp, instruction, space, todo, addresses, kBytes, kUse);
        // An atomic has no meaning across the host's words either.
        if (misaligned != 0 && (kUse == Use::atomic || warp.level() != CheckLevel::off)) [[unlikely]]
            return report_misaligned(warp, instruction, todo, addresses, kBytes);
        // Stores can only be wrong in shared memory: copies go there.
        if (lookup.span.is_checked && (kUse != Use::store || lookup.span.is_shared)) {
            if (is_shadow_wrong<kBytes, kUse>(lookup)) [[unlikely]]
                return report_shadow(warp, instruction, space, lookup.span, lookup.inside, addresses, kBytes,
                                     kUse);
        }
        lookup.is_aligned = misaligned == 0;
        body(lookup);
        todo &= ~lookup.inside;
    } while (todo != 0);
    return Flow::next;
}
