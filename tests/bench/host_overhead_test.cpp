// SPDX-License-Identifier: Apache-2.0
// The host's share of a call, measured. On a GPU the bars are 0.3 us for a cached choice and 3 us for a
// launch
// (`warpwright bench --host`); a machine shared with other tests gets ten times as much.
#include "bench/host_overhead.h"

#include <gtest/gtest.h>

namespace warpwright::bench {
namespace {

TEST(HostOverhead, OfEveryStepOnTheCpu) {
    const auto context = Context::open("cpu");
    ASSERT_TRUE(context.ok());
    const auto all = measure_host_overhead(**context);
    ASSERT_TRUE(all.ok()) << all.status().message();
    ASSERT_GE(all->size(), 4u);
    for (const HostOverhead& overhead : *all) {
        EXPECT_LT(overhead.choose_cached_us, 3) << overhead.op;
        EXPECT_LT(overhead.choose_cached_us, overhead.choose_us) << overhead.op;
        EXPECT_LT(overhead.prepare_us, 100) << overhead.op;
        EXPECT_GE(overhead.launches, 1) << overhead.op;
        EXPECT_GT(overhead.launch_us, 0) << overhead.op;
        EXPECT_EQ(overhead.graph_launch_us, -1) << overhead.op << ": the CPU has no graphs";
    }
}

}  // namespace
}  // namespace warpwright::bench
