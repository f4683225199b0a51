// SPDX-License-Identifier: Apache-2.0
// Loads and stores of kCount elements of kElement bytes for each lane. Slots of a load: the elements, then
// the address; of a store: the address, then the elements.
//
// Between registers and memory the lanes' bytes stand lane after lane, as they are in a row of memory: a row is
// read where it is, anything else is gathered first.
#include "emulator/execute/lanes.inl"
#include "emulator/memory/lookup.inl"

// --- vectors: from lane after lane to element after element, and back ---

typedef u32 Words __attribute__((vector_size(64)));  // of 16 lanes

static inline __attribute__((always_inline)) Words words_at(const std::byte* from, int index) {
    Words words;
    std::memcpy(&words, from + index * 64, 64);
    return words;
}

// 16 lanes of two words each to 16 of the first and 16 of the second, and back.
constexpr Words kEven = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
constexpr Words kOdd = {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31};
constexpr Words kFirstPairs = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
constexpr Words kLastPairs = {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
// 8 lanes of four words each to 8 words of the first, 8 of the second; of the third, of the fourth. And halves.
constexpr Words kFirstOfFour = {0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29};
constexpr Words kLastOfFour = {2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31};
constexpr Words kLowHalves = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23};
constexpr Words kHighHalves = {8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31};
// 4 words of each of four elements, of lanes 0 to 3: {a0 a1 a2 a3 ...} to {a0 b0 c0 d0 a1 ...}.
constexpr Words kQuadsLow = {0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27};
constexpr Words kQuadsHigh = {4, 12, 20, 28, 5, 13, 21, 29, 6, 14, 22, 30, 7, 15, 23, 31};

// 32 lanes of kCount words; to[e] has 32 words.
template <int kCount>
static inline __attribute__((always_inline)) void split_words(const std::byte* from, u32* const* to) {
    if constexpr (kLevel == SimdLevel::avx512 && kCount == 2) {
        for (int half = 0; half < 2; ++half) {
            const Words a = words_at(from, 2 * half), b = words_at(from, 2 * half + 1);
            const Words element[2] = {__builtin_shuffle(a, b, kEven), __builtin_shuffle(a, b, kOdd)};
            for (int e = 0; e < 2; ++e) std::memcpy(to[e] + 16 * half, &element[e], 64);
        }
    } else if constexpr (kLevel == SimdLevel::avx512 && kCount == 4) {
        for (int half = 0; half < 2; ++half) {
            const Words a = words_at(from, 4 * half), b = words_at(from, 4 * half + 1);
            const Words c = words_at(from, 4 * half + 2), d = words_at(from, 4 * half + 3);
            const Words first = __builtin_shuffle(a, b, kFirstOfFour), last = __builtin_shuffle(a, b, kLastOfFour);
            const Words more_first = __builtin_shuffle(c, d, kFirstOfFour);
            const Words more_last = __builtin_shuffle(c, d, kLastOfFour);
            const Words element[4] = {
                __builtin_shuffle(first, more_first, kLowHalves), __builtin_shuffle(first, more_first, kHighHalves),
                __builtin_shuffle(last, more_last, kLowHalves), __builtin_shuffle(last, more_last, kHighHalves)};
            for (int e = 0; e < 4; ++e) std::memcpy(to[e] + 16 * half, &element[e], 64);
        }
    } else {
        for (int e = 0; e < kCount; ++e) {
            for (int l = 0; l < kLanes; ++l) std::memcpy(to[e] + l, from + (l * kCount + e) * 4, 4);
        }
    }
}

template <int kCount>
static inline __attribute__((always_inline)) void join_words(const u32* const* from, std::byte* to) {
    const auto words = [&](int e, int half) {
        return words_at(reinterpret_cast<const std::byte*>(from[e]), half);
    };
    if constexpr (kLevel == SimdLevel::avx512 && kCount == 2) {
        for (int half = 0; half < 2; ++half) {
            const Words a = words(0, half), b = words(1, half);
            const Words lanes[2] = {__builtin_shuffle(a, b, kFirstPairs), __builtin_shuffle(a, b, kLastPairs)};
            std::memcpy(to + 128 * half, lanes, 128);
        }
    } else if constexpr (kLevel == SimdLevel::avx512 && kCount == 4) {
        for (int half = 0; half < 2; ++half) {
            const Words a = words(0, half), b = words(1, half), c = words(2, half), d = words(3, half);
            // Of lanes 0 to 7, then of 8 to 15.
            const Words ab = __builtin_shuffle(a, b, kLowHalves), cd = __builtin_shuffle(c, d, kLowHalves);
            const Words more_ab = __builtin_shuffle(a, b, kHighHalves), more_cd = __builtin_shuffle(c, d, kHighHalves);
            const Words lanes[4] = {
                __builtin_shuffle(ab, cd, kQuadsLow), __builtin_shuffle(ab, cd, kQuadsHigh),
                __builtin_shuffle(more_ab, more_cd, kQuadsLow), __builtin_shuffle(more_ab, more_cd, kQuadsHigh)};
            std::memcpy(to + 256 * half, lanes, 256);
        }
    } else {
        for (int e = 0; e < kCount; ++e) {
            for (int l = 0; l < kLanes; ++l) std::memcpy(to + (l * kCount + e) * 4, from[e] + l, 4);
        }
    }
}

// Element e of every lane to slot[e]. Registers may be wider than the type: what is narrower than 32 bits is
// extended to them always, and to 64 bits where the register has them.
template <int kElement, int kCount>
static inline __attribute__((always_inline)) void unpack(Warp& warp, const Instruction& instruction, u32 lanes,
                                                         const std::byte* from) {
    using T = typename Bits<kElement>::Type;
    using Signed = std::conditional_t<kElement == 1, i8, std::conditional_t<kElement == 2, i16, i32>>;
    const bool is_signed = instruction.flag[kFlagSigned];
    if constexpr (kElement == 4 && kCount > 1) {
        u32* to[kCount];
        bool is_exact = lanes == kAllLanes;
        for (int e = 0; e < kCount; ++e) {
            to[e] = warp.lanes<u32>(instruction.slot[e]);
            is_exact &= instruction.slot_width[e] == 1;
        }
        if (is_exact) [[likely]] {
            split_words<kCount>(from, to);
            return;
        }
    }
    for (int e = 0; e < kCount; ++e) {
        const u16 slot = instruction.slot[e];
        const auto element = [&](int l) {
            T value;
            std::memcpy(&value, from + (l * kCount + e) * kElement, kElement);
            return value;
        };
        if constexpr (kElement >= 8) {
            store_lanes(warp.lanes<T>(slot), lanes, element);
        } else if (instruction.slot_width[e] == 2) {
            store_lanes_long(warp.lanes<u64>(slot), lanes, [&](int l) {
                const T value = element(l);
                return is_signed ? static_cast<u64>(static_cast<i64>(static_cast<Signed>(value))) : u64{value};
            });
        } else if constexpr (kElement < 4) {
            store_lanes_long(warp.lanes<u32>(slot), lanes, [&](int l) {
                const T value = element(l);
                return is_signed ? static_cast<u32>(static_cast<i32>(static_cast<Signed>(value))) : u32{value};
            });
        } else {
            store_lanes(warp.lanes<u32>(slot), lanes, element);
        }
    }
}

// The elements of slot[1] and on, lane after lane: where they are, or put together.
template <int kElement, int kCount>
static inline __attribute__((always_inline)) const std::byte* pack(Warp& warp, const Instruction& instruction,
                                                                   std::byte* packed) {
    using T = typename Bits<kElement>::Type;
    if constexpr (kElement >= 4 && kCount == 1) {
        if (kElement >= 8 || instruction.slot_width[1] == 1)
            return reinterpret_cast<const std::byte*>(warp.lanes<T>(instruction.slot[1]));
    }
    if constexpr (kElement == 4 && kCount > 1) {
        const u32* from[kCount];
        bool is_exact = true;
        for (int e = 0; e < kCount; ++e) {
            from[e] = warp.lanes<u32>(instruction.slot[1 + e]);
            is_exact &= instruction.slot_width[1 + e] == 1;
        }
        if (is_exact) [[likely]] {
            join_words<kCount>(from, packed);
            return packed;
        }
    }
    for (int e = 0; e < kCount; ++e) {
        const u16 slot = instruction.slot[1 + e];
        const auto put = [&](const auto* values) {
            for (int l = 0; l < kLanes; ++l) {
                const T value = static_cast<T>(values[l]);
                std::memcpy(packed + (l * kCount + e) * kElement, &value, kElement);
            }
        };
        if constexpr (kElement >= 8) {
            put(warp.lanes<T>(slot));
        } else if (instruction.slot_width[1 + e] == 2) {
            put(warp.lanes<u64>(slot));
        } else {
            put(warp.lanes<u32>(slot));
        }
    }
    return packed;
}

// --- loads ---

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

template <int kElement, int kCount>
static inline __attribute__((always_inline)) const std::byte* gather(const Instruction& instruction,
                                                                     const Lookup& lookup, std::byte* gathered) {
    constexpr int kBytes = kElement * kCount;
    const std::byte* data = lookup.span.data;
    if (instruction.flag[kFlagStrong] && lookup.span.is_global && lookup.is_aligned) [[unlikely]] {
        for (int l = 0; l < kLanes; ++l) {
            const std::byte* from = bytes_of<kBytes>(lookup, (lookup.inside >> l & 1u) != 0 ? l : first_lane(lookup.inside));
            for (int i = 0; i < kBytes; i += kElement) read_strong<kElement>(from + i, gathered + l * kBytes + i);
        }
        return gathered;
    }
    switch (lookup.layout) {
        case Layout::row: return data + lookup.first;
        case Layout::same: {
            std::byte value[kBytes];
            std::memcpy(value, data + lookup.first, kBytes);
            for (int l = 0; l < kLanes; ++l) std::memcpy(gathered + l * kBytes, value, kBytes);
            break;
        }
        case Layout::scattered:
#pragma GCC unroll 32
            for (int l = 0; l < kLanes; ++l)
                std::memcpy(gathered + l * kBytes, data + lookup.offset[l], kBytes);
            break;
    }
    return gathered;
}

template <int kElement, int kCount>
static Flow load(Warp& warp, const Instruction& instruction, u32 active) {
    constexpr int kBytes = kElement * kCount;
    alignas(64) std::byte gathered[kLanes * kBytes];
    return for_each_span<kBytes, Use::load>(
        warp, instruction, access_space(instruction), addresses_of(warp, instruction, kCount), active,
        [&](const Lookup& lookup) {
            unpack<kElement, kCount>(warp, instruction, lookup.inside,
                                     gather<kElement, kCount>(instruction, lookup, gathered));
        });
}

// --- stores ---

// kBytes from `from` to `to`; the bits that differed from what was there.
template <int kBytes>
static inline __attribute__((always_inline)) u64 replace(const std::byte* from, std::byte* to) {
    using Word = typename Bits<kBytes < 8 ? kBytes : 8>::Type;
    Word difference = 0;
    for (int i = 0; i < kBytes; i += static_cast<int>(sizeof(Word))) {
        Word before, after;
        std::memcpy(&before, to + i, sizeof(Word));
        std::memcpy(&after, from + i, sizeof(Word));
        difference |= before ^ after;
    }
    std::memcpy(to, from, kBytes);
    return difference;
}

template <int kElement>
static inline __attribute__((always_inline)) bool write_strong(const std::byte* from, std::byte* to) {
    using T = typename Bits<kElement>::Type;
    if constexpr (kElement == 16) {
        const WideLock lock(to);
        return replace<16>(from, to) != 0;
    } else {
        T value;
        std::memcpy(&value, from, kElement);
        return __atomic_exchange_n(reinterpret_cast<T*>(to), value, __ATOMIC_SEQ_CST) != value;
    }
}

// Returns whether anything differs from what was there.
template <int kElement, int kCount>
static inline __attribute__((always_inline)) bool scatter(const Instruction& instruction, const Lookup& lookup,
                                                          const std::byte* from) {
    constexpr int kBytes = kElement * kCount;
    u8* const shadow = lookup.span.shadow;
    u64 difference = 0;
    if (instruction.flag[kFlagStrong] && lookup.span.is_global && lookup.is_aligned) [[unlikely]] {
        for (u32 rest = lookup.inside; rest != 0; rest &= rest - 1) {
            const int l = first_lane(rest);
            std::byte* to = bytes_of<kBytes>(lookup, l);
            for (int i = 0; i < kBytes; i += kElement)
                difference |= write_strong<kElement>(from + l * kBytes + i, to + i);
            if (shadow != nullptr) std::memset(shadow + (to - lookup.span.data), kShadowWritten, kBytes);
        }
    } else if (lookup.layout == Layout::row && lookup.inside == kAllLanes) {
        difference = replace<kLanes * kBytes>(from, lookup.span.data + lookup.first);
        if (shadow != nullptr) std::memset(shadow + lookup.first, kShadowWritten, kLanes * kBytes);
    } else if (lookup.layout == Layout::row) {
        // Lanes that are not active write nothing, not even what was there: others may write it.
        for (u32 rest = lookup.inside; rest != 0;) {
            const int begin = first_lane(rest);
            const int count = std::countr_one(rest >> begin);
            const u64 offset = lookup.first + static_cast<u64>(begin * kBytes);
            const auto bytes = static_cast<std::size_t>(count * kBytes);
            std::byte* to = lookup.span.data + offset;
            difference |= std::memcmp(to, from + begin * kBytes, bytes) != 0;
            std::memcpy(to, from + begin * kBytes, bytes);
            if (shadow != nullptr) std::memset(shadow + offset, kShadowWritten, bytes);
            rest &= ~(((u64{1} << count) - 1) << begin);
        }
    } else if (lookup.layout == Layout::scattered && lookup.inside == kAllLanes) {
#pragma GCC unroll 4
        for (int l = 0; l < kLanes; ++l)
            difference |= replace<kBytes>(from + l * kBytes, lookup.span.data + lookup.offset[l]);
        if (shadow != nullptr) {
#pragma GCC unroll 4
            for (int l = 0; l < kLanes; ++l) std::memset(shadow + lookup.offset[l], kShadowWritten, kBytes);
        }
    } else {
        for (u32 rest = lookup.inside; rest != 0; rest &= rest - 1) {
            const int l = first_lane(rest);
            std::byte* to = bytes_of<kBytes>(lookup, l);
            difference |= replace<kBytes>(from + l * kBytes, to);
            if (shadow != nullptr) std::memset(shadow + (to - lookup.span.data), kShadowWritten, kBytes);
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
        warp, instruction, access_space(instruction), addresses_of(warp, instruction, 0), active,
        [&](const Lookup& lookup) {
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
