// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "device/host_threads.h"
#include "kernels/moe/count/operation.h"

namespace warpwright {
namespace {

void moe_count(const void* raw, HostThreads&) {
    const MoeCountArgs& args = *static_cast<const MoeCountArgs*>(raw);
    for (i32 begin = 0; begin < args.slots; begin += kChunkSlots) {
        i32* counts = args.chunk_counts + static_cast<i64>(begin / kChunkSlots) * args.experts;
        std::fill_n(counts, args.experts, 0);
        for (i32 slot = begin; slot < std::min(begin + kChunkSlots, args.slots); ++slot) {
            const i32 expert = expert_of(args, args.ids[slot]);
            args.row_of_slot[slot] = expert < 0 ? -1 : counts[expert]++;
        }
    }
}

}  // namespace

HostFunction MoeCountOp::host_function(const Row&) {
    return moe_count;
}

}  // namespace warpwright
