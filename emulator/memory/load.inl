// SPDX-License-Identifier: Apache-2.0
// Loads of kCount elements of kElement bytes for each lane. Slots: the elements, then the address.
//
// The lanes' bytes are taken lane after lane, as they are in a row of memory: a row is read where it is, anything
// else is gathered first.
#include "emulator/execute/lanes.inl"
#include "emulator/memory/lookup.inl"
#include "emulator/memory/shuffle.inl"

// 16 lanes of two words each: 16 of the first, 16 of the second.
constexpr Words kEven = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
constexpr Words kOdd = {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31};
// 8 lanes of four words each: 8 of the first and 8 of the second; of the third and of the fourth.
constexpr Words kFirstOfFour = {0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29};
constexpr Words kLastOfFour = {2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31};
constexpr Words kLowHalves = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23};
constexpr Words kHighHalves = {8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31};

// 32 lanes of kCount words; to[e] has 32 words.
template <int kCount>
static inline __attribute__((always_inline)) void split_words(const std::byte* from, u32* const* to) {
    if constexpr (kLevel == SimdLevel::avx512 && kCount == 2) {
        for (int half = 0; half < 2; ++half) {
            const Words a = words_at(from, 2 * half), b = words_at(from, 2 * half + 1);
            const Words element[2] = {shuffle(a, b, kEven), shuffle(a, b, kOdd)};
            for (int e = 0; e < 2; ++e) std::memcpy(to[e] + 16 * half, &element[e], 64);
        }
    } else if constexpr (kLevel == SimdLevel::avx512 && kCount == 4) {
        for (int half = 0; half < 2; ++half) {
            const Words a = words_at(from, 4 * half), b = words_at(from, 4 * half + 1);
            const Words c = words_at(from, 4 * half + 2), d = words_at(from, 4 * half + 3);
            const Words first = shuffle(a, b, kFirstOfFour), last = shuffle(a, b, kLastOfFour);
            const Words more_first = shuffle(c, d, kFirstOfFour);
            const Words more_last = shuffle(c, d, kLastOfFour);
            const Words element[4] = {
                shuffle(first, more_first, kLowHalves), shuffle(first, more_first, kHighHalves),
                shuffle(last, more_last, kLowHalves), shuffle(last, more_last, kHighHalves)};
            for (int e = 0; e < 4; ++e) std::memcpy(to[e] + 16 * half, &element[e], 64);
        }
    } else {
        for (int e = 0; e < kCount; ++e) {
            for (int l = 0; l < kLanes; ++l) std::memcpy(to[e] + l, from + (l * kCount + e) * 4, 4);
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
        case Layout::row:
            if (lookup.inside == kAllLanes) return data + lookup.first;
            // Of lanes that are not active nothing is read, as nothing is written: others may write there.
            for (u32 rest = lookup.inside; rest != 0;) {
                const Run run = first_run(rest);
                const auto offset = static_cast<std::size_t>(run.begin) * kBytes;
                std::memcpy(gathered + offset, data + lookup.first + offset,
                            static_cast<std::size_t>(run.count) * kBytes);
                rest &= ~run.lanes;
            }
            break;
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

// By log2 of the element's bytes and of their number. What PTX has not is null.
constexpr AccessHandlers kHandlers = {{{load<1, 1>, load<1, 2>, load<1, 4>, nullptr},
                                       {load<2, 1>, load<2, 2>, load<2, 4>, nullptr},
                                       {load<4, 1>, load<4, 2>, load<4, 4>, load<4, 8>},
                                       {load<8, 1>, load<8, 2>, load<8, 4>, nullptr},
                                       {load<16, 1>, nullptr, nullptr, nullptr}}};
