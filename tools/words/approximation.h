// SPDX-License-Identifier: Apache-2.0
// What PTX ISA promises of instructions whose results it does not define to the bit.
#pragma once

#include <string>

#include "warpwright/types.h"

namespace warpwright::words {

enum class NumberType : u8 { f16, bf16, f32 };

// A result may be off by the largest of these bounds, and by half of the spacing of its type's numbers.
struct Approximation {
    double (*truth)(double a, double b) = nullptr;  // b of two-operand instructions only
    NumberType type = NumberType::f32;
    bool flushes = false;  // .ftz: subnormal operands and results are zeros of their sign
    double ulps = 0;       // units in the last place of the result
    double relative = 0;
    double absolute = 0;
    double subnormal_ulps = 0;  // at subnormal results
    // Finite operands for which |a| or |b| is outside of its range are promised nothing; 0: no limit.
    double highest = 0, lowest_b = 0, highest_b = 0;
    // Beyond `highest` and up to `far` the absolute bound is this one.
    double far = 0, far_absolute = 0;
};

// Empty when `word`, the bits of a result for operands of the bits a and b, keeps the promise; else what was
// expected.
std::string judge(const Approximation& approximation, u64 a, u64 b, u64 word);

}  // namespace warpwright::words
