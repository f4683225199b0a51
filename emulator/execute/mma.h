// SPDX-License-Identifier: Apache-2.0
// What one mma instruction computes, apart from the warp that executes it. PTX ISA 9.7.14.5 leaves order,
// rounding and alignment open; what GPUs do is published (Khattak and Mikaitis, arXiv 2512.07004; Xie et al.,
// arXiv 2511.10909) and is one algorithm with a few parameters. One pass over some k, for one output:
//
//   1. A NaN, 0 x Inf or Inf - Inf gives the canonical NaN; otherwise an Inf gives that Inf.
//   2. The exponent of a product is the sum of its factors' exponents: it is not normalised, its significand
//      is in [1, 4) or below. A subnormal has its format's least exponent. c is one more term, a zero none.
//   3. E is the greatest exponent of the terms, and not less than `least_exponent`. Every term is shifted to
//      E and cut toward zero to `fraction_bits` bits behind the point.
//   4. Their sum is exact. It is normalised and rounded once, to `output`. A sum of 0 is +0.
//
// The result is the c of the next pass.
#pragma once

#include "emulator/decode/binding.h"
#include "emulator/execute/formats.h"
#include "emulator/execute/simd.h"

namespace warpwright::emulator::mma {

// Of the elements of A and B. In registers: low bits first, one after the other; a format of less than 8 bits
// lies in a byte (e3m2 and e2m3 in its low 6 bits, e2m1 in bits 5:2).
enum class Format : u8 { f16, bf16, tf32, e4m3, e5m2, e3m2, e2m3, e2m1 };

struct FormatFacts {
    FloatFormat format;
    int container_bits;    // in a register
    int padding_bits = 0;  // of the container, below the element
};
constexpr FormatFacts facts_of(Format format) {
    switch (format) {
        case Format::f16: return {kF16, 16};
        case Format::bf16: return {kBf16, 16};
        case Format::tf32: return {kTf32, 32, 13};
        case Format::e4m3: return {kE4m3, 8};
        case Format::e5m2: return {kE5m2, 8};
        case Format::e3m2: return {kE3m2, 8};
        case Format::e2m3: return {kE2m3, 8};
        case Format::e2m1: return {kE2m1, 8, 2};
    }
    return {};
}
constexpr int least_exponent(Format format) {
    return 1 - facts_of(format).format.bias;
}

// What a sum is rounded to.
enum class Output : u8 {
    f32,    // toward zero; an overflow is an infinity all the same
    e8m13,  // likewise, with 13 fraction bits, in an f32: Ada's fp8
    f16,    // to nearest even
};

// Which elements are summed in one pass. The order within a pass makes no difference.
enum class Passes : u8 {
    one,
    halves,      // the lower half of k, then the upper one
    byte_pairs,  // k mod 4 < 2, then the rest: 8-bit elements widened to f16 by ptxas, two at a time
};

struct FloatProduct {
    Format a = Format::bf16, b = Format::bf16;
    Output output = Output::f32;
    Passes passes = Passes::one;
    u8 k = 16;
    u8 fraction_bits = 25;
    i16 least_exponent = -133;
    i8 a_least_exponent = -126, b_least_exponent = -126;  // of subnormal elements
    // c is no term: it is added to what the passes give, as by add.rn.f32 or add.rn.f16.
    bool adds_c_last = false;
    bool is_f16() const { return output == Output::f16; }
};

// The arithmetic of m16n8 x k on a GPU. `is_f16`: of accumulator and result.
FloatProduct float_product(const DecodeTarget& target, Format a, Format b, int k, bool is_f16);

// Integer elements: exact, the sum with c wraps, or is clamped to 32 bits.
struct IntegerProduct {
    u8 bits = 8;  // of an element: 8, 4 or 1
    bool a_signed = true, b_signed = true;
    bool saturates = false;
    bool counts_and = false;  // of 1 bit: popc(a & b), else popc(a ^ b)
    u8 rows = 16;             // 16 or 8
    u16 k = 32;
};

// The registers of a warp, each of 32 lanes. With g = lane / 4, q = lane % 4 and p elements in a register:
//   A    register r: row g + 8 (r & 1), k = p q + e + 4 p (r >> 1)
//   B    register r: k = p q + e + 4 p r, column g
//   C, D of 32 bits: row g + 8 (r >> 1), column 2 q + (r & 1)
//   C, D of f16:     row g + 8 r, columns 2 q and 2 q + 1
struct Fragments {
    const u32* a[4] = {};
    const u32* b[2] = {};
    const u32* c[4] = {};
    u32* d[4] = {};  // may be those of c
};

struct Multipliers {
    void (*multiply_floats)(const FloatProduct& product, const Fragments& fragments);
    void (*multiply_integers)(const IntegerProduct& product, const Fragments& fragments);
};
// Every level gives the same bits.
const Multipliers& multipliers(SimdLevel level);

// --- the scalar path: any operands, no bounds; what the vector path leaves ---

// An element or accumulator as significand x 2^(exponent - 23), the significand below 2^24.
struct Term {
    enum class Kind : u8 { zero, finite, infinite, nan };
    Kind kind = Kind::zero;
    bool negative = false;
    u32 significand = 0;
    int exponent = 0;
};
Term term_of(float value, int least_exponent);

// One pass: the sum of the products of num terms, and c.
float sum_of_products(const FloatProduct& product, const Term* a, const Term* b, int num, Term c);

}  // namespace warpwright::emulator::mma
