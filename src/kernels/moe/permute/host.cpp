// SPDX-License-Identifier: Apache-2.0
// Permutation on the host: count, place, pad.
#include <algorithm>
#include <vector>

#include "device/host_threads.h"
#include "kernels/moe/permute/operation.h"

namespace warpwright {
namespace {

void moe_permute(const void* raw, HostThreads&) {
    const MoePermuteArgs& args = *static_cast<const MoePermuteArgs*>(raw);
    const bool contiguous = args.expert_of_row != nullptr;
    std::fill_n(args.expert_rows, args.experts, 0);
    for (i32 slot = 0; slot < args.slots; ++slot) {
        if (const i32 expert = expert_of(args, args.ids[slot]); expert >= 0) ++args.expert_rows[expert];
    }
    std::fill_n(args.token_of_row, args.rows, -1);
    if (contiguous) std::fill_n(args.expert_of_row, args.rows, -1);

    const i32 max_rows = args.rows / args.experts;  // masked
    std::vector<i32> next, end;                     // row of each expert
    i32 first = 0;
    for (i32 expert = 0; expert < args.experts; ++expert) {
        const i32 count = args.expert_rows[expert];
        next.push_back(first);
        end.push_back(first + (contiguous ? count : max_rows));
        first += contiguous ? static_cast<i32>(round_up(count, args.alignment)) : max_rows;
    }
    for (i32 slot = 0; slot < args.slots; ++slot) {
        args.row_of_slot[slot] = -1;
        const i32 expert = expert_of(args, args.ids[slot]);
        if (expert < 0) continue;
        i32& row = next[static_cast<std::size_t>(expert)];
        if (row == end[static_cast<std::size_t>(expert)]) continue;
        args.row_of_slot[slot] = row;
        args.token_of_row[row] = slot / args.top_k;
        if (contiguous) args.expert_of_row[row] = expert;
        ++row;
    }
}

}  // namespace

HostFunction MoePermuteOp::host_function(const Row&) {
    return moe_permute;
}

}  // namespace warpwright
