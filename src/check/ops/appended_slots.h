// SPDX-License-Identifier: Apache-2.0
// Where tokens go in the checks of appends.
#pragma once

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/legality.h"

namespace warpwright {

struct AppendedSlots {
    static constexpr i64 kSequences = 3;
    i64 num_pages = 0;                      // two of them belong to nobody
    i64 max_pages = 0;                      // of a sequence
    std::vector<i32> page_table;            // [kSequences, max_pages]
    std::vector<i32> sequences, positions;  // of each token
};

// Pages are shuffled over the whole cache. Every third token is padding; the others take turns among the
// sequences, at consecutive positions that start in the middle of a page.
inline AppendedSlots choose_slots(i64 tokens, i64 page_size, std::mt19937_64& random) {
    AppendedSlots slots;
    slots.max_pages = ceil_div(tokens + 5, page_size) + 1;
    slots.num_pages = AppendedSlots::kSequences * slots.max_pages + 2;
    slots.page_table.resize(static_cast<std::size_t>(slots.num_pages));
    std::iota(slots.page_table.begin(), slots.page_table.end(), 0);
    std::shuffle(slots.page_table.begin(), slots.page_table.end(), random);
    slots.page_table.resize(static_cast<std::size_t>(AppendedSlots::kSequences * slots.max_pages));
    i32 next[AppendedSlots::kSequences] = {5, 0, 2};
    for (i64 token = 0; token < tokens; ++token) {
        const auto sequence = static_cast<i32>(random() % AppendedSlots::kSequences);
        slots.sequences.push_back(sequence);
        slots.positions.push_back(token % 3 == 2 ? -1 - static_cast<i32>(token) : next[sequence]++);
    }
    return slots;
}

}  // namespace warpwright
