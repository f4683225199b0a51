// SPDX-License-Identifier: Apache-2.0
// The first of moe_permute's two launches: how many slots of a chunk each expert has, and which number among
// those of its chunk and expert a slot has.
#pragma once

#include "kernels/moe/permute/problem.h"

namespace warpwright {

struct MoeCountProblem {
    i64 slots = 32768;
    i64 experts = 128;
    bool mapped = false;

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("slots", self.slots);
        v("experts", self.experts);
        v("mapped", self.mapped);
    }
    constexpr MoeCountProblem canonical() const { return *this; }
};

// Of moe_permute's: ids and expert_map are read; chunk_counts is written, and row_of_slot with a slot's
// number in its chunk.
using MoeCountArgs = MoePermuteArgs;

}  // namespace warpwright
