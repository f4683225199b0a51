// SPDX-License-Identifier: Apache-2.0
// Delayed scaling: scales of many tensors, of the history of their largest magnitudes
// (warpwright/ops/scaling.h).
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct ScalingProblem {
    i64 length = 16;
    i64 tensors = 128;
    bool largest_of_all = true;

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("length", self.length);
        v("tensors", self.tensors);
        v("largest_of_all", self.largest_of_all);
    }
    constexpr ScalingProblem canonical() const { return *this; }
};

struct ScalingArgs {
    float* history;  // [length, tensors], row stride history_stride elements
    float* scale;
    float* scale_inv;
    i64 history_stride;
    float scaled_max;  // of the code type, times 2^-margin
    i32 length;
    i32 tensors;
    bool largest_of_all;
};

}  // namespace warpwright
