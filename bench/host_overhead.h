// SPDX-License-Identifier: Apache-2.0
// What the host does for an operation, in microseconds of one thread: choosing a row, preparing a call,
// enqueueing its launches.
#pragma once

#include <string>
#include <vector>

#include "warpwright/context.h"

namespace warpwright::bench {

// Medians of many rounds.
struct HostOverhead {
    std::string op;
    std::string problem;
    double choose_us = 0;         // with nothing remembered
    double choose_cached_us = 0;  // the same problem again
    double prepare_us = 0;        // checked, chosen (cached), kernel loaded, arguments in place
    double launch_us = 0;         // of a prepared call, as many launches as it has; what they do excluded
    double graph_launch_us = -1;  // of the same call captured as a graph; -1: the device has no graphs
    int launches = 0;
};

Result<std::vector<HostOverhead>> measure_host_overhead(Context& context);

}  // namespace warpwright::bench
