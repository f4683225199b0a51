// SPDX-License-Identifier: Apache-2.0
// How the project times (DESIGN section 7): the median over replays of a captured graph of at least 20
// launches that walk over buffers of at least four times the L2.
#pragma once

#include <vector>

#include "warpwright/context.h"

namespace warpwright::bench {

struct Timing {
    double median_us = 0;  // per launch of the operation
    double min_us = 0;
    double max_us = 0;
    int num_launches = 0;  // in one graph
    int num_buffers = 0;   // sets of buffers walked over
};

// How long a measurement may take. The method's own has no bound; what only ranks rows needs fewer launches.
struct TimingBudget {
    double us = 0;          // 0: 20 launches and 9 replays, however long they take
    double give_up_us = 0;  // 0: never; a launch that takes longer is not timed again
};

// `variants` are the same operation on different buffers. Without graphs (the host) a loop is timed instead.
Result<Timing> time_prepared(Context& context, const std::vector<Prepared>& variants,
                             const TimingBudget& budget = {});

}  // namespace warpwright::bench
