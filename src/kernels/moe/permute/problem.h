// SPDX-License-Identifier: Apache-2.0
// Where the rows of routed tokens lie; include/warpwright/ops/moe_permute.h has the definition.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct MoePermuteProblem {
    i64 tokens = 1;
    i64 top_k = 8;
    i64 experts = 128;    // here
    i64 rows = 0;         // all of them, padding too
    bool masked = false;  // else contiguous
    i64 alignment = 128;
    bool mapped = false;  // ids are another GPU's, too
    bool space = false;   // for the counts of chunks

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tokens", self.tokens);
        v("top_k", self.top_k);
        v("experts", self.experts);
        v("rows", self.rows);
        v("masked", self.masked);
        v("alignment", self.alignment);
        v("mapped", self.mapped);
        v("space", self.space);
    }
    constexpr MoePermuteProblem canonical() const {
        MoePermuteProblem problem = *this;
        problem.tokens = 128;
        return problem;
    }
};

constexpr int kChunkSlots = 1024;

struct MoePermuteArgs {
    const i32* ids;         // [slots]
    const i32* expert_map;  // [map_size] or null
    i32* row_of_slot;       // [slots]
    i32* token_of_row;      // [rows]
    i32* expert_rows;       // [experts]
    i32* expert_of_row;     // [rows]; null: masked
    i32* chunk_counts;      // [chunks, experts] or null
    i32 slots;
    i32 top_k;
    i32 experts;
    i32 map_size;
    i32 rows;
    i32 alignment;
};

// The expert here of a slot, -1 if there is none.
constexpr i32 expert_of(const MoePermuteArgs& args, i32 id) {
    if (args.expert_map != nullptr) id = id >= 0 && id < args.map_size ? args.expert_map[id] : -1;
    return id >= 0 && id < args.experts ? id : -1;
}

}  // namespace warpwright
