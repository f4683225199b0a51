// SPDX-License-Identifier: Apache-2.0
// Loads and stores of kCount elements of kElement bytes for each lane. Slots of a load: the elements, then
// the address; of a store: the address, then the elements.
#include "emulator/execute/lanes.inl"
#include "emulator/memory/lookup.inl"

// Strong accesses happen element by element, as PTX says of vectors.
template <int kElement>
static inline __attribute__((always_inline)) void read_strong(const std::byte* from, std::byte* to) {
    using T = typename Bits<kElement>::Type;
    if constexpr (kElement == 16) {
        const WideLock lock(from);
        std::memcpy(to, from, 16);
    } else {
        const T value = __atomic_load_n(reinterpret_cast<const T*>(from), __ATOMIC_SEQ_CST);
        std::memcpy(to, &value, kElement);
    }
}

template <int kElement>
static inline __attribute__((always_inline)) bool write_strong(const std::byte* from, std::byte* to) {
    using T = typename Bits<kElement>::Type;
    T value;
    std::memcpy(&value, from, kElement);
    if constexpr (kElement == 16) {
        const WideLock lock(to);
        const bool changes = std::memcmp(to, from, 16) != 0;
        std::memcpy(to, from, 16);
        return changes;
    } else {
        return __atomic_exchange_n(reinterpret_cast<T*>(to), value, __ATOMIC_SEQ_CST) != value;
    }
}

// The lanes' bytes, lane after lane: where they are, or gathered.
template <int kElement, int kCount>
static inline __attribute__((always_inline)) const std::byte* gather(const Instruction& instruction,
                                                                     const Lookup& lookup, std::byte* gathered) {
    constexpr int kBytes = kElement * kCount;
    const std::byte* data = lookup.span.data;
    if (instruction.flag[kFlagStrong] && lookup.span.is_global && lookup.misaligned == 0) {
        for (int l = 0; l < kLanes; ++l) {
            for (int i = 0; i < kBytes; i += kElement)
                read_strong<kElement>(data + lookup.offset[l] + i, gathered + l * kBytes + i);
        }
    } else if (lookup.layout == Layout::row) {
        return data + lookup.offset[0];
    } else if (lookup.layout == Layout::same) {
        std::byte value[kBytes];
        std::memcpy(value, data + lookup.offset[0], kBytes);
        for (int l = 0; l < kLanes; ++l) std::memcpy(gathered + l * kBytes, value, kBytes);
    } else {
#pragma GCC unroll 32
        for (int l = 0; l < kLanes; ++l) std::memcpy(gathered + l * kBytes, data + lookup.offset[l], kBytes);
    }
    return gathered;
}

// Element e of every lane to slot[e]. Registers may be wider than the type: what is narrower than 32 bits is
// extended to them always, and to 64 bits where the register has them.
template <int kElement, int kCount>
static inline __attribute__((always_inline)) void unpack(Warp& warp, const Instruction& instruction, u32 lanes,
                                                         const std::byte* from) {
    using T = typename Bits<kElement>::Type;
    using Signed = std::conditional_t<kElement == 1, i8,
                                      std::conditional_t<kElement == 2, i16, i32>>;
    for (int e = 0; e < kCount; ++e) {
        const u16 slot = instruction.slot[e];
        const auto element = [&](int l) {
            T value;
            std::memcpy(&value, from + (l * kCount + e) * kElement, kElement);
            return value;
        };
        if constexpr (kElement >= 8) {
            store_lanes(warp.lanes<T>(slot), lanes, element);
        } else {
            const bool is_signed = instruction.flag[kFlagSigned];
            if (instruction.slot_width[e] == 2) {
                if (is_signed)
                    store_lanes(warp.lanes<u64>(slot), lanes, [&](int l) {
                        return static_cast<u64>(static_cast<i64>(static_cast<Signed>(element(l))));
                    });
                else
                    store_lanes(warp.lanes<u64>(slot), lanes, [&](int l) { return u64{element(l)}; });
            } else if (kElement < 4 && is_signed) {
                store_lanes(warp.lanes<u32>(slot), lanes, [&](int l) {
                    return static_cast<u32>(static_cast<i32>(static_cast<Signed>(element(l))));
                });
            } else {
                store_lanes(warp.lanes<u32>(slot), lanes, [&](int l) { return u32{element(l)}; });
            }
        }
    }
}

template <int kElement, int kCount>
static Flow load(Warp& warp, const Instruction& instruction, u32 active) {
    constexpr int kBytes = kElement * kCount;
    alignas(64) std::byte gathered[kLanes * kBytes];
    return for_each_span<kBytes, Use::load>(
        warp, instruction, instruction.slot[kCount], active, [&](const Lookup& lookup) {
            unpack<kElement, kCount>(warp, instruction, lookup.inside,
                                     gather<kElement, kCount>(instruction, lookup, gathered));
        });
}

// The elements of slot[1] and on, lane after lane: where they are, or put together.
template <int kElement, int kCount>
static inline __attribute__((always_inline)) const std::byte* pack(Warp& warp, const Instruction& instruction,
                                                                   std::byte* packed) {
    using T = typename Bits<kElement>::Type;
    for (int e = 0; e < kCount; ++e) {
        const u16 slot = instruction.slot[1 + e];
        const auto put = [&](const auto* values) {
            for (int l = 0; l < kLanes; ++l) {
                const T value = static_cast<T>(values[l]);
                std::memcpy(packed + (l * kCount + e) * kElement, &value, kElement);
            }
        };
        if constexpr (kElement >= 8) {
            if constexpr (kCount == 1) return reinterpret_cast<const std::byte*>(warp.lanes<T>(slot));
            put(warp.lanes<T>(slot));
        } else {
            if (instruction.slot_width[1 + e] == 2) {
                put(warp.lanes<u64>(slot));
            } else {
                if constexpr (kCount == 1 && kElement == 4)
                    return reinterpret_cast<const std::byte*>(warp.lanes<u32>(slot));
                put(warp.lanes<u32>(slot));
            }
        }
    }
    return packed;
}

// kBytes from `from` to `to`; the bits that differed from what was there.
template <int kBytes>
static inline __attribute__((always_inline)) u64 replace(const std::byte* from, std::byte* to) {
    using Word = typename Bits<kBytes < 8 ? kBytes : 8>::Type;
    u64 difference = 0;
    for (int i = 0; i < kBytes; i += static_cast<int>(sizeof(Word))) {
        Word before, after;
        std::memcpy(&before, to + i, sizeof(Word));
        std::memcpy(&after, from + i, sizeof(Word));
        std::memcpy(to + i, &after, sizeof(Word));
        difference |= before ^ after;
    }
    return difference;
}

// Returns whether anything differs from what was there.
template <int kElement, int kCount>
static inline __attribute__((always_inline)) bool scatter(const Instruction& instruction, const Lookup& lookup,
                                                          const std::byte* from) {
    constexpr int kBytes = kElement * kCount;
    std::byte* data = lookup.span.data;
    u8* shadow = lookup.span.shadow;
    u64 difference = 0;
    if (instruction.flag[kFlagStrong] && lookup.span.is_global && lookup.misaligned == 0) {
        for (u32 rest = lookup.inside; rest != 0; rest &= rest - 1) {
            const int l = first_lane(rest);
            for (int i = 0; i < kBytes; i += kElement)
                difference |= write_strong<kElement>(from + l * kBytes + i, data + lookup.offset[l] + i);
        }
    } else if (lookup.layout == Layout::row && lookup.inside == kAllLanes) {
        difference = replace<kLanes * kBytes>(from, data + lookup.offset[0]);
        if (shadow != nullptr) std::memset(shadow + lookup.offset[0], kShadowWritten, kLanes * kBytes);
        return difference != 0;
    } else if (lookup.inside == kAllLanes) {
        for (int l = 0; l < kLanes; ++l)
            difference |= replace<kBytes>(from + l * kBytes, data + lookup.offset[l]);
    } else {
        for (u32 rest = lookup.inside; rest != 0; rest &= rest - 1) {
            const int l = first_lane(rest);
            difference |= replace<kBytes>(from + l * kBytes, data + lookup.offset[l]);
        }
    }
    if (shadow != nullptr) {
        for (int l = 0; l < kLanes; ++l) {
            if (lookup.inside >> l & 1u) std::memset(shadow + lookup.offset[l], kShadowWritten, kBytes);
        }
    }
    return difference != 0;
}

template <int kElement, int kCount>
static Flow store(Warp& warp, const Instruction& instruction, u32 active) {
    constexpr int kBytes = kElement * kCount;
    alignas(64) std::byte packed[kLanes * kBytes];
    const std::byte* from = pack<kElement, kCount>(warp, instruction, packed);
    return for_each_span<kBytes, Use::store>(
        warp, instruction, instruction.slot[0], active, [&](const Lookup& lookup) {
            if (scatter<kElement, kCount>(instruction, lookup, from)) warp.note_change();
        });
}

// By log2 of the element's bytes and of their number. What PTX has not is null.
constexpr AccessHandlers kHandlers = {
    {{load<1, 1>, load<1, 2>, load<1, 4>, nullptr},
     {load<2, 1>, load<2, 2>, load<2, 4>, nullptr},
     {load<4, 1>, load<4, 2>, load<4, 4>, load<4, 8>},
     {load<8, 1>, load<8, 2>, load<8, 4>, nullptr},
     {load<16, 1>, nullptr, nullptr, nullptr}},
    {{store<1, 1>, store<1, 2>, store<1, 4>, nullptr},
     {store<2, 1>, store<2, 2>, store<2, 4>, nullptr},
     {store<4, 1>, store<4, 2>, store<4, 4>, store<4, 8>},
     {store<8, 1>, store<8, 2>, store<8, 4>, nullptr},
     {store<16, 1>, nullptr, nullptr, nullptr}},
};
