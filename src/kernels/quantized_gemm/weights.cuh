// SPDX-License-Identifier: Apache-2.0
// Packed codes (layout.h) to mma's A operand in registers, exactly; scales and zero points of a step.
//
// A code becomes a 16-bit floating-point number by masks and shifts alone, and one fma on pairs puts it
// right: integers are ORed into the mantissa of a power of two, which is then subtracted with the zero point;
// floating-point codes are moved to their type's places and multiplied by the difference of the exponents'
// biases, which also makes their subnormal numbers normal. All of it is exact in both types. Scales are not
// applied here but to fp32 sums, group by group; only nvfp4's are, sixteen of k being less than what a
// product of our order of k takes, and e2m1 times e4m3 has but six bits. So no weight is rounded.
#pragma once

#include "kernels/gemm/blocks.cuh"
#include "kernels/quantized_gemm/rows.h"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"
#include "ptx/mma.cuh"
#include "ptx/packed.cuh"

namespace warpwright {

template <class T>
struct PairConstants;
template <>
struct PairConstants<Bf16> {  // 8 bits of mantissa with the leading one; exponents biased by 127
    static constexpr u32 kOne = 0x3f803f80, kInteger = 0x43004300;  // 128
    static constexpr u32 kNegativeZero = 0x80008000;
    static constexpr int kIntegerBits = 7;                        // below the leading one
    static constexpr u32 kMinusTwice = 0xc380c380;                // -256; -128 with bit 7 the other way
    static constexpr u32 kE4m3 = 0x7b807b80, kE2m1 = 0x7e807e80;  // 2^120, 2^126
    static constexpr int kE4m3Lowest = 4, kE2m1Lowest = 6;        // bits of their mantissas' ends
    static constexpr float kScale = 0x1p118f, kUnscale = 0x1p8f;  // of nvfp4: 2^126 in two parts
};
template <>
struct PairConstants<Half> {                                        // 11 bits; exponents biased by 15
    static constexpr u32 kOne = 0x3c003c00, kInteger = 0x64006400;  // 1024
    static constexpr u32 kNegativeZero = 0x80008000;
    static constexpr int kIntegerBits = 10;
    static constexpr u32 kE4m3 = 0x5c005c00, kE2m1 = 0x74007400;  // 2^8, 2^14
    static constexpr int kE4m3Lowest = 7, kE2m1Lowest = 9;
    static constexpr float kScale = 0x1p7f, kUnscale = 0x1p7f;
};

// What the fma of rows `group` and `group + 8` of a tile takes: integers' -(the power of two + zero point),
// or where the type has not the bits for that the format's zero point - this one; nvfp4's scale, times a
// power of two that leaves room for it.
struct Adjustment {
    u32 pair[2];
};

template <WeightFormat format, class T>
__device__ inline u32 offset_of(u32 zero) {
    using C = PairConstants<T>;
    if constexpr (facts_of(format).bits > C::kIntegerBits) {
        const float more =
            static_cast<float>(static_cast<int>(facts_of(format).zero) - static_cast<int>(zero));
        return ptx::pack<T>(more, more);
    } else {
        return (C::kInteger | C::kNegativeZero) + zero * 0x00010001u;
    }
}

// The codes of register r of a word as 16-bit numbers, but for the exponents' bias.
template <WeightFormat format, int r, int lowest>
__device__ inline u32 move_codes(u32 word) {
    constexpr Moves kMoves = moves_of(format, r, lowest, 15);
    u32 moved = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        if (kMoves.mask[i] == 0) continue;
        const u32 there = shifted(word, kMoves.shift[i]);
        moved = i == 0 ? there & kMoves.mask[i] : ptx::and_or(there, kMoves.mask[i], moved);
    }
    return moved;
}

// Register r of a step of 16 of k. `general`: with a zero point that is not the format's own.
template <WeightFormat format, class T, bool general, int r>
__device__ inline u32 decode_register(const u32* words, const Adjustment& adjustment) {
    using C = PairConstants<T>;
    const u32 word = words[facts_of(format).bits == 8 ? r / 2 : 0], adjusted = adjustment.pair[r % 2];
    if constexpr (format == WeightFormat::int4) {
        return ptx::fma_pair<T>(ptx::and_or(word >> (4 * r), 0x000f000fu, C::kInteger), C::kOne, adjusted);
    } else if constexpr (format == WeightFormat::int8 && C::kIntegerBits >= 8) {
        return ptx::fma_pair<T>(ptx::and_or(word >> (8 * (r % 2)), 0x00ff00ffu, C::kInteger), C::kOne,
                                adjusted);
    } else if constexpr (format == WeightFormat::int8) {
        // Seven bits beside 128. The eighth, where it is set, makes -256 a -128: what is left is code - 128.
        const u32 bytes = word >> (8 * (r % 2));
        const u32 low = ptx::and_or(bytes, 0x007f007fu, C::kInteger);
        const u32 high = ptx::and_xor(bytes, 0x00800080u, C::kMinusTwice);
        const u32 centred = ptx::fma_pair<T>(low, C::kOne, high);
        return general ? ptx::fma_pair<T>(centred, C::kOne, adjusted) : centred;
    } else if constexpr (format == WeightFormat::fp8_e4m3) {
        return ptx::fma_pair<T>(move_codes<format, r, C::kE4m3Lowest>(word), C::kE4m3, C::kNegativeZero);
    } else {
        constexpr bool kScaled = format == WeightFormat::nvfp4;
        return ptx::fma_pair<T>(move_codes<format, r, C::kE2m1Lowest>(word), kScaled ? adjusted : C::kE2m1,
                                C::kNegativeZero);
    }
}

// Registers of one step of 16 of k: `words` is one word with 4 bits, two with 8.
template <WeightFormat format, class T, bool general>
__device__ inline void decode(u32 (&a)[4], const u32* words, const Adjustment& adjustment) {
    a[0] = decode_register<format, T, general, 0>(words, adjustment);
    a[1] = decode_register<format, T, general, 1>(words, adjustment);
    a[2] = decode_register<format, T, general, 2>(words, adjustment);
    a[3] = decode_register<format, T, general, 3>(words, adjustment);
}

// Of rows `group` and `group + 8` of a tile.
struct Scales {
    float of_row[2];
};

__device__ inline float e4m3_scale(u32 code) {
    return ptx::to_float(Half{static_cast<u16>((code & 0x7f) << 7)}) * 256;
}
__device__ inline float e8m0_scale(u32 code) {
    return __uint_as_float(code == 0 ? 0x00400000u : code << 23);
}

// A lane's two scales, which are neighbours at `from` in the shared window.
template <WeightFormat format>
__device__ inline Scales read_scales(u32 from, const ScaleForm& form) {
    if constexpr (format == WeightFormat::mxfp4 || format == WeightFormat::nvfp4) {
        const u32 pair = ptx::load_shared_2(from);
        const auto number = format == WeightFormat::mxfp4 ? e8m0_scale : e4m3_scale;
        return {{number(pair & 0xff), number(pair >> 8)}};
    } else {
        const u32 low = ptx::load_shared_4(from), high = ptx::load_shared_4(from + form.second_bytes);
        return {{__uint_as_float(low << form.left >> form.right) * form.factor,
                 __uint_as_float((high & form.mask) >> form.right) * form.factor}};
    }
}

// Zero points are given, or 32 of k share a scale, of formats that do not say so themselves.
__device__ inline bool is_general(const QuantizedGemmArgs& args) {
    return args.halves || args.zeros != nullptr;
}

// Of scales that a lane reads, in a step of 64 of k: of nvfp4's four the two that its eight of each 32 of k
// are in.
template <QuantizedGemmRow R, bool general>
constexpr int kGroupsAStep = general || facts_of(R.format).group != 0 ? 2 : 1;

// Scales and zero points of a lane's two rows of a tile, for each group of a step.
template <QuantizedGemmRow R, bool general>
struct TileScales {
    static constexpr int kGroups = kGroupsAStep<R, general>;
    Scales scales[kGroups];
    Adjustment adjustment[kGroups];

    // Integers' own zero points.
    __device__ void set_zeros() {
        if constexpr (is_integer(R.format)) {
            constexpr u32 kZero = facts_of(R.format).zero;
            const u32 offset = offset_of<R.format, Storage<R.dtype>>(kZero);
#pragma unroll
            for (int g = 0; g < kGroups; ++g) adjustment[g] = {{offset, offset}};
        }
    }

    // Of the step's only group.
    __device__ void read_zeros(u32 zeros_at, int row) {
        using T = Storage<R.dtype>;
        const u32 zeros = ptx::load_shared_2(zeros_at + row + static_cast<int>(threadIdx.x) % 32 / 4 * 2);
        adjustment[0] = {{offset_of<R.format, T>(zeros & 0xff), offset_of<R.format, T>(zeros >> 8)}};
    }

    // `scales` and `zeros` are the addresses of a step's in the shared window, of the tile that begins at row
    // `row` of the block.
    __device__ void read(u32 scales_at, u32 zeros_at, int row, const QuantizedGemmArgs& args) {
        using T = Storage<R.dtype>;
        constexpr bool kFixed = facts_of(R.format).group != 0;
        const int lane = static_cast<int>(threadIdx.x) % 32, pair = row + lane / 4 * 2;
        const int bytes = kFixed ? 1 : args.scale_bytes;
        const int next = kFixed || args.halves ? R.tile_n : 0;  // rows
        if constexpr (!general) set_zeros();
#pragma unroll
        for (int g = 0; g < kGroups; ++g) {
            if constexpr (R.format == WeightFormat::nvfp4) {
                const int group = g * 2 + lane % 4 / 2;
                const Scales both = read_scales<R.format>(scales_at + pair + group * R.tile_n, args.form);
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    const float scale = both.of_row[i] * PairConstants<T>::kScale;
                    adjustment[g].pair[i] = ptx::pack<T>(scale, scale);
                }
                continue;
            }
            scales[g] = read_scales<R.format>(scales_at + (pair + (general || kFixed ? g * next : 0)) * bytes,
                                              args.form);
            if constexpr (is_integer(R.format) && general) {
                constexpr u32 kZero = facts_of(R.format).zero;
                u32 zeros = kZero | kZero << 8;
                if (args.zeros != nullptr) zeros = ptx::load_shared_2(zeros_at + pair + g * next);
                adjustment[g] = {{offset_of<R.format, T>(zeros & 0xff), offset_of<R.format, T>(zeros >> 8)}};
            }
        }
    }
};

// What is left to multiply finished sums of a group of rows by.
template <QuantizedGemmRow R>
__device__ inline float last_scale(const QuantizedGemmArgs& args, i32 group) {
    constexpr bool kScaled = R.format == WeightFormat::nvfp4;
    const float scale = args.global_scales != nullptr ? args.global_scales[group] : args.global_scale;
    return scale * (kScaled ? PairConstants<Storage<R.dtype>>::kUnscale : 1.0f);
}

// The launch before may be making the lists of a grouped product.
__device__ inline void wait_for_lists(const QuantizedGemmArgs& args) {
    if (args.groups.kind != Grouping::none) ptx::wait_for_predecessor();
}

// Of a group of rows: its codes; scales or zero points of `bytes` each.
__device__ inline const unsigned char* codes_of(const QuantizedGemmArgs& args, i32 group) {
    return static_cast<const unsigned char*>(args.gemm.b) + group * args.groups.b_stride;
}
__device__ inline const unsigned char* scales_of(const QuantizedGemmArgs& args, i32 group, const void* all,
                                                 int bytes) {
    return static_cast<const unsigned char*>(all) + group * args.scale_stride * bytes;
}

// Adds the sums of a group, and begins the next one's.
template <int tokens>
__device__ inline void add_group(float (&sums)[tokens][4], float (&partial)[tokens][4], const Scales& scale) {
#pragma unroll
    for (int token = 0; token < tokens; ++token) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
            sums[token][e] += scale.of_row[e / 2] * partial[token][e];
            partial[token][e] = 0;
        }
    }
}

// Sixteen of k, `i` of the step's four, with which a group ends if `ends` or the format says so: the words of
// a tile times `tokens` x 8 rows of A, of which a lane holds eight of k of this half of the step.
// `one_group`: whatever the format says, the step is of one group, which ends with it if `ends`.
template <QuantizedGemmRow R, bool general, int tokens, class OfTile>
__device__ inline void multiply_sixteen(float (&sums)[tokens][4], float (&partial)[tokens][4],
                                        const u32* words, const U32x4 (&a)[tokens], const OfTile& scales,
                                        int i, bool ends = true, bool one_group = false) {
    using T = Storage<R.dtype>;
    constexpr int kGroups = OfTile::kGroups;
    u32 weights[4];
    decode<R.format, T, general>(weights, words, scales.adjustment[i * kGroups / 4]);
    constexpr bool kDirect = R.format == WeightFormat::nvfp4;  // scales are in the weights
    float(&to)[tokens][4] = kDirect ? sums : partial;
#pragma unroll
    for (int token = 0; token < tokens; ++token) {
        if (i % 2 == 0) {
            ptx::mma<T>(to[token], weights, {a[token].x, a[token].y});
        } else {
            ptx::mma<T>(to[token], weights, {a[token].z, a[token].w});
        }
    }
    if (!kDirect && (i + 1) * kGroups % 4 == 0 && (one_group ? ends && i == 3 : ends || kGroups > 1)) {
        add_group<tokens>(sums, partial, scales.scales[i * kGroups / 4]);
    }
}

}  // namespace warpwright
