// SPDX-License-Identifier: Apache-2.0
// Counts of chunks from their definition.
#pragma once

#include <vector>

#include "warpwright/types.h"

namespace warpwright {

struct MoeCounts {
    std::vector<i32> number;        // of a slot among those of its chunk and expert; -1: no expert
    std::vector<i32> chunk_counts;  // [chunks, experts]
};

inline MoeCounts counts_oracle(const std::vector<i32>& experts_of_slots, i64 experts,
                               std::size_t chunk_slots) {
    MoeCounts result;
    const std::size_t chunks = (experts_of_slots.size() + chunk_slots - 1) / chunk_slots;
    result.chunk_counts.assign(chunks * static_cast<std::size_t>(experts), 0);
    for (std::size_t slot = 0; slot < experts_of_slots.size(); ++slot) {
        const i32 expert = experts_of_slots[slot];
        const auto at =
            slot / chunk_slots * static_cast<std::size_t>(experts) + static_cast<std::size_t>(expert);
        result.number.push_back(expert < 0 ? -1 : result.chunk_counts[at]++);
    }
    return result;
}

}  // namespace warpwright
