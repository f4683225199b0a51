// SPDX-License-Identifier: Apache-2.0
// The permutation from its definition: experts' slots, collected one after another.
#pragma once

#include <vector>

#include "warpwright/types.h"

namespace warpwright {

struct MoePermutation {
    std::vector<i32> row_of_slot, token_of_row, expert_of_row, expert_rows;
};

// `experts_of_slots`: -1 for none. `max_rows`: of an expert, masked; 0: contiguous.
inline MoePermutation permutation_oracle(const std::vector<i32>& experts_of_slots, i64 top_k, i64 experts,
                                         i64 rows, i64 alignment, i64 max_rows) {
    MoePermutation result;
    result.row_of_slot.assign(experts_of_slots.size(), -1);
    for (i32 expert = 0; expert < experts; ++expert) {
        i32 count = 0;
        const auto begin = static_cast<i64>(result.token_of_row.size());
        for (std::size_t slot = 0; slot < experts_of_slots.size(); ++slot) {
            if (experts_of_slots[slot] != expert) continue;
            ++count;
            if (max_rows > 0 && count > max_rows) continue;
            result.row_of_slot[slot] = static_cast<i32>(result.token_of_row.size());
            result.token_of_row.push_back(static_cast<i32>(static_cast<i64>(slot) / top_k));
            result.expert_of_row.push_back(expert);
        }
        result.expert_rows.push_back(count);
        const auto used = static_cast<i64>(result.token_of_row.size()) - begin;
        const i64 padded = max_rows > 0 ? max_rows : (used + alignment - 1) / alignment * alignment;
        result.token_of_row.resize(static_cast<std::size_t>(begin + padded), -1);
        result.expert_of_row.resize(static_cast<std::size_t>(begin + padded), -1);
    }
    result.token_of_row.resize(static_cast<std::size_t>(rows), -1);
    result.expert_of_row.resize(static_cast<std::size_t>(rows), -1);
    return result;
}

}  // namespace warpwright
