// SPDX-License-Identifier: Apache-2.0
// Packed codes (layout.h) to mma's A operand in registers, exactly; scales and zero points of a step.
//
// A code becomes a 16-bit floating-point number by masks and shifts alone, and one fma on pairs puts it
// right: integers are ORed into the mantissa of a power of two, which is then subtracted with the zero point;
// floating-point codes are moved to the type's places and multiplied by the difference of the exponents'
// biases, which also makes their subnormal numbers normal. All of it is exact in both types. Scales are not
// applied here but to fp32 sums, group by group: no weight is rounded.
#pragma once

#include "kernels/quantized_gemm/problem.h"
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
    static constexpr int kIntegerBits = 7;  // below the leading one
    static constexpr u32 kSixtyFour = 0x42804280;
    static constexpr u32 kE4m3 = 0x7b807b80, kE2m1 = 0x7e807e80;  // 2^120, 2^126
    static constexpr int kE4m3Shift = 4, kE2m1Shift = 6;
};
template <>
struct PairConstants<Half> {                                        // 11 bits; exponents biased by 15
    static constexpr u32 kOne = 0x3c003c00, kInteger = 0x64006400;  // 1024
    static constexpr u32 kNegativeZero = 0x80008000;
    static constexpr int kIntegerBits = 10;
    static constexpr u32 kE4m3 = 0x5c005c00, kE2m1 = 0x74007400;  // 2^8, 2^14
    static constexpr int kE4m3Shift = 1, kE2m1Shift = 3;
};

// What is added to the pairs of rows `group` and `group + 8` of a tile, for integers: -(the power of two +
// zero point), or where the type has not the bits for that -(zero point).
struct Offsets {
    u32 pair[2];
};

template <WeightFormat format, class T>
__device__ inline u32 offset_of(u32 zero) {
    using C = PairConstants<T>;
    if constexpr (facts_of(format).bits > C::kIntegerBits) {
        const float negative = -static_cast<float>(zero);
        return ptx::pack<T>(negative, negative);
    } else {
        return (C::kInteger | C::kNegativeZero) + zero * 0x00010001u;
    }
}

// Registers of one step of 16 of k: `words` is one word with 4 bits, two with 8.
template <WeightFormat format, class T>
__device__ inline void decode(u32 (&a)[4], const u32* words, const Offsets& offsets) {
    using C = PairConstants<T>;
#pragma unroll
    for (int r = 0; r < 4; ++r) {
        const u32 offset = offsets.pair[r % 2];
        if constexpr (format == WeightFormat::int4) {
            const u32 integer = (words[0] >> (4 * r) & 0x000f000fu) | C::kInteger;
            a[r] = ptx::fma_pair<T>(integer, C::kOne, offset);
        } else if constexpr (format == WeightFormat::int8) {
            const u32 word = words[r / 2] >> (8 * (r % 2));
            if constexpr (C::kIntegerBits >= 8) {
                a[r] = ptx::fma_pair<T>((word & 0x00ff00ffu) | C::kInteger, C::kOne, offset);
            } else {  // seven bits, and the eighth as 2.0 x 64
                constexpr u32 kMinus = C::kInteger | C::kNegativeZero;
                const u32 low = ptx::fma_pair<T>((word & 0x007f007fu) | C::kInteger, C::kOne, kMinus);
                const u32 high = ptx::fma_pair<T>((word & 0x00800080u) << 7, C::kSixtyFour, offset);
                a[r] = ptx::fma_pair<T>(low, C::kOne, high);
            }
        } else if constexpr (format == WeightFormat::fp8_e4m3) {
            const u32 word = words[r / 2] << (8 - 8 * (r % 2));
            const u32 moved =
                (word & C::kNegativeZero) | (word >> C::kE4m3Shift & 0x7f007f00u >> C::kE4m3Shift);
            a[r] = ptx::fma_pair<T>(moved, C::kE4m3, C::kNegativeZero);
        } else {
            const u32 word = words[0] << (12 - 4 * r);
            const u32 moved =
                (word & C::kNegativeZero) | (word >> C::kE2m1Shift & 0x70007000u >> C::kE2m1Shift);
            a[r] = ptx::fma_pair<T>(moved, C::kE2m1, C::kNegativeZero);
        }
    }
}

// Of rows `group` and `group + 8` of a tile.
struct Scales {
    float of_row[2];
};

__device__ inline float e4m3_scale(u32 code) {
    return ptx::to_float(Half{static_cast<u16>(code << 7)}) * 256;  // without a sign
}

// A lane's two scales, which are neighbours at `from` in shared memory.
template <WeightFormat format>
__device__ inline Scales read_scales(const unsigned char* from, DType type) {
    if constexpr (format == WeightFormat::mxfp4) {
        const u32 pair = *reinterpret_cast<const u16*>(from);
        const u32 low = pair & 0xff, high = pair >> 8;  // 2^(code - 127)
        return {{__uint_as_float(low == 0 ? 0x00400000u : low << 23),
                 __uint_as_float(high == 0 ? 0x00400000u : high << 23)}};
    } else if constexpr (format == WeightFormat::nvfp4) {
        const u32 pair = *reinterpret_cast<const u16*>(from);
        return {{e4m3_scale(pair & 0x7f), e4m3_scale(pair >> 8 & 0x7f)}};
    } else {
        if (type == DType::f32) {
            const float* scales = reinterpret_cast<const float*>(from);
            return {{scales[0], scales[1]}};
        }
        const u32 pair = *reinterpret_cast<const u32*>(from);
        if (type == DType::bf16) return {{ptx::low_float<Bf16>(pair), ptx::high_float<Bf16>(pair)}};
        return {{ptx::low_float<Half>(pair), ptx::high_float<Half>(pair)}};
    }
}

// Groups of scales in a step of 64 of k, as far as the format says; 1 where the problem does.
constexpr int groups_a_step(WeightFormat format) {
    return format == WeightFormat::mxfp4 ? 2 : format == WeightFormat::nvfp4 ? 4 : 1;
}

// The product of a tile of 16 rows of W and one step of 64 of k with `num_tokens` x 8 rows of A.
//   codes    a lane's 16 bytes of each packed tile of the step
//   a        a lane's 16 bytes of each row of A, for the two halves of the step
//   scales   where the lane's pair of scales of this tile is, `group_bytes` from one group to the next
//   zeros    the same for zero points; null without
template <WeightFormat format, class T, int num_tokens>
__device__ inline void multiply_tile(float (&sums)[num_tokens][4],
                                     const U32x4 (&codes)[facts_of(format).bits / 4],
                                     const U32x4 (&a)[num_tokens][2], const unsigned char* scales,
                                     int group_bytes, const unsigned char* zeros, int zero_bytes,
                                     const QuantizedGemmArgs& args) {
    constexpr int kWords = facts_of(format).bits / 4;  // a step of 16
    constexpr int kGroups = groups_a_step(format);
    u32 words[4 * kWords];
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
        words[4 * i] = codes[i].x, words[4 * i + 1] = codes[i].y;
        words[4 * i + 2] = codes[i].z, words[4 * i + 3] = codes[i].w;
    }
    Offsets offsets;
    const auto set_offsets = [&](int group) {
        if constexpr (is_integer(format)) {
            constexpr u32 kZero = facts_of(format).zero;
            u32 pair = kZero | kZero << 8;
            if (zeros != nullptr) pair = *reinterpret_cast<const u16*>(zeros + group * zero_bytes);
            offsets = {{offset_of<format, T>(pair & 0xff), offset_of<format, T>(pair >> 8)}};
        }
    };
    set_offsets(0);
    float partial[num_tokens][4] = {};
    const auto flush = [&](int group) {
        const Scales scale = read_scales<format>(scales + group * group_bytes, args.scale);
#pragma unroll
        for (int t = 0; t < num_tokens; ++t) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                sums[t][e] += scale.of_row[e / 2] * partial[t][e];
                partial[t][e] = 0;
            }
        }
    };
#pragma unroll
    for (int step = 0; step < 4; ++step) {
        u32 weights[4];
        decode<format, T>(weights, words + step * kWords, offsets);
#pragma unroll
        for (int t = 0; t < num_tokens; ++t) {
            const U32x4& chunk = a[t][step / 2];
            if (step % 2 == 0) {
                ptx::mma<T>(partial[t], weights, {chunk.x, chunk.y});
            } else {
                ptx::mma<T>(partial[t], weights, {chunk.z, chunk.w});
            }
        }
        if (step == 3) {
            flush(kGroups == 1 && args.halves ? 1 : kGroups - 1);
        } else if ((step + 1) * kGroups % 4 == 0) {
            flush((step + 1) * kGroups / 4 - 1);
        } else if (kGroups == 1 && step == 1 && args.halves) {
            flush(0);
            set_offsets(1);
        }
    }
}

}  // namespace warpwright
