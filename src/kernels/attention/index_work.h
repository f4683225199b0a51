// SPDX-License-Identifier: Apache-2.0
// What an indexer's operations have to do, from the capacities.
#pragma once

#include <algorithm>

#include "warpwright/types.h"

namespace warpwright {

struct IndexWork {
    double tokens;  // queries, over all sequences
    double q_len;   // of a sequence
    double seen;    // keys of a query, on average
};

template <class Problem>
IndexWork index_work(const Problem& problem) {
    const auto sequences = static_cast<double>(problem.sequences);
    const auto kv_len = static_cast<double>(problem.max_kv_len);
    const double tokens = problem.q_tokens > 0 ? static_cast<double>(problem.q_tokens)
                                               : sequences * static_cast<double>(problem.max_q_len);
    const double q_len = tokens / sequences;
    return {tokens, q_len, kv_len - (problem.causal && q_len > 1 ? std::min(q_len, kv_len) / 2 : 0)};
}

}  // namespace warpwright
