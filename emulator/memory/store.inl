// SPDX-License-Identifier: Apache-2.0
// Stores of kCount elements of kElement bytes for each lane. Slots: the address, then the elements.
//
// The lanes' bytes are put together lane after lane, as they are in a row of memory.
#include "emulator/execute/lanes.inl"
#include "emulator/memory/lookup.inl"
#include "emulator/memory/shuffle.inl"

// 16 words of each of two elements: lanes 0 to 7, lanes 8 to 15.
constexpr Words kFirstPairs = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
constexpr Words kLastPairs = {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
// 8 words of each of four elements, two and two: lanes 0 to 3, lanes 4 to 7.
constexpr Words kLowHalves = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23};
constexpr Words kHighHalves = {8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31};
constexpr Words kFirstQuads = {0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27};
constexpr Words kLastQuads = {4, 12, 20, 28, 5, 13, 21, 29, 6, 14, 22, 30, 7, 15, 23, 31};

// And back: 32 lanes of kCount words from kCount times 32.
template <int kCount>
static inline __attribute__((always_inline)) void join_words(const u32* const* from, std::byte* to) {
    const auto words = [&](int e, int half) {
        return words_at(reinterpret_cast<const std::byte*>(from[e]), half);
    };
    if constexpr (kLevel == SimdLevel::avx512 && kCount == 2) {
        for (int half = 0; half < 2; ++half) {
            const Words a = words(0, half), b = words(1, half);
            const Words lanes[2] = {shuffle(a, b, kFirstPairs), shuffle(a, b, kLastPairs)};
            std::memcpy(to + 128 * half, lanes, 128);
        }
    } else if constexpr (kLevel == SimdLevel::avx512 && kCount == 4) {
        for (int half = 0; half < 2; ++half) {
            const Words a = words(0, half), b = words(1, half), c = words(2, half), d = words(3, half);
            // Of lanes 0 to 7, then of 8 to 15.
            const Words ab = shuffle(a, b, kLowHalves), cd = shuffle(c, d, kLowHalves);
            const Words more_ab = shuffle(a, b, kHighHalves), more_cd = shuffle(c, d, kHighHalves);
            const Words lanes[4] = {
                shuffle(ab, cd, kFirstQuads), shuffle(ab, cd, kLastQuads),
                shuffle(more_ab, more_cd, kFirstQuads), shuffle(more_ab, more_cd, kLastQuads)};
            std::memcpy(to + 256 * half, lanes, 256);
        }
    } else {
        for (int e = 0; e < kCount; ++e) {
            for (int l = 0; l < kLanes; ++l) std::memcpy(to + (l * kCount + e) * 4, from[e] + l, 4);
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
            const Run run = first_run(rest);
            const u64 offset = lookup.first + static_cast<u64>(run.begin) * kBytes;
            const auto bytes = static_cast<std::size_t>(run.count) * kBytes;
            std::byte* to = lookup.span.data + offset;
            difference |= std::memcmp(to, from + run.begin * kBytes, bytes) != 0;
            std::memcpy(to, from + run.begin * kBytes, bytes);
            if (shadow != nullptr) std::memset(shadow + offset, kShadowWritten, bytes);
            rest &= ~run.lanes;
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
constexpr AccessHandlers kHandlers = {{{store<1, 1>, store<1, 2>, store<1, 4>, nullptr},
                                       {store<2, 1>, store<2, 2>, store<2, 4>, nullptr},
                                       {store<4, 1>, store<4, 2>, store<4, 4>, store<4, 8>},
                                       {store<8, 1>, store<8, 2>, store<8, 4>, nullptr},
                                       {store<16, 1>, nullptr, nullptr, nullptr}}};
