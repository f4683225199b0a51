// SPDX-License-Identifier: Apache-2.0
// The host tier's thread pool: what a host row runs on.
#pragma once

#include <functional>
#include <memory>

#include "warpwright/types.h"

namespace warpwright {

class HostThreads {
public:
    explicit HostThreads(int num_threads = 0);  // 0: one per core this process may use
    ~HostThreads();

    int size() const;

    // Calls body(begin, end) over disjoint ranges that cover [0, count); returns when all are done. Ranges
    // are multiples of `grain` except the last. Which thread runs which range must not change the result.
    void parallel_for(i64 count, i64 grain, const std::function<void(i64 begin, i64 end)>& body);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace warpwright
