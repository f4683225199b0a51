// SPDX-License-Identifier: Apache-2.0
// The best keys of each query on the host: a task is a query, whose keys are partitioned by logit and
// position.
#include <algorithm>
#include <functional>
#include <vector>

#include "device/host_threads.h"
#include "kernels/attention/index_topk/operation.h"
#include "tile/ordered_float.h"

namespace warpwright {
namespace {

// One number that is larger for a larger logit, and for equal ones at the smaller position.
u64 rank_of(float logit, int position) {
    return u64{key_of(clean_logit(logit))} << 32 | ~static_cast<u32>(position);
}
i32 position_of(u64 rank) {
    return static_cast<i32>(~static_cast<u32>(rank));
}

void choose(const IndexTopkArgs& args, i64 sequence, i64 row, int visible, std::vector<u64>& ranks) {
    const float* logits = args.logits + row * args.logits_stride;
    ranks.clear();
    for (int position = 0; position < visible; ++position)
        ranks.push_back(rank_of(logits[position], position));
    const auto kept = static_cast<std::ptrdiff_t>(std::min(visible, args.k));
    if (visible > args.k)
        std::nth_element(ranks.begin(), ranks.begin() + kept, ranks.end(), std::greater<>());
    std::sort(ranks.begin(), ranks.begin() + kept,
              [](u64 a, u64 b) { return position_of(a) < position_of(b); });
    i32* indices = args.indices + row * args.indices_stride;
    for (int i = 0; i < args.k; ++i) {
        if (i >= kept) {
            indices[i] = -1;
            continue;
        }
        const i32 position = position_of(ranks[static_cast<std::size_t>(i)]);
        indices[i] = position;
        if (args.page_table == nullptr) continue;
        const i32 page = args.page_table[sequence * args.page_table_stride + (position >> args.page_shift)];
        indices[i] = page << args.page_shift | (position & ((1 << args.page_shift) - 1));
    }
    if (args.index_lengths != nullptr) args.index_lengths[row] = static_cast<i32>(kept);
}

void index_topk(const void* raw, HostThreads& threads) {
    const IndexTopkArgs& args = *static_cast<const IndexTopkArgs*>(raw);
    threads.parallel_for(i64{args.sequences} * args.max_q_len, 1, [&](i64 first, i64 last) {
        static thread_local std::vector<u64> ranks;
        for (i64 task = first; task < last; ++task) {
            const i64 sequence = task / args.max_q_len;
            const i64 row = args.q_starts[sequence] + task % args.max_q_len;
            if (row >= args.q_starts[sequence + 1]) continue;
            const i64 behind = args.causal != 0 ? args.q_starts[sequence + 1] - row - 1 : 0;
            const i64 visible = std::clamp<i64>(args.kv_lengths[sequence] - behind, 0, args.max_kv_len);
            choose(args, sequence, row, static_cast<int>(visible), ranks);
        }
    });
}

}  // namespace

HostFunction IndexTopkOp::host_function(const Row&) {
    return index_topk;
}

}  // namespace warpwright
