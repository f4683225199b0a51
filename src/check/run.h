// SPDX-License-Identifier: Apache-2.0
// The whole of `warpwright check`, whoever asks for it: all checks of some devices, their reports, and what
// is kept of them.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "check/check.h"
#include "dispatch/trust.h"

namespace warpwright {

struct CheckRequest {
    std::string op;                 // this operation only; empty: all
    std::vector<std::string> rows;  // these rows only; none: all
    u64 seed = 1;                   // of the random inputs
    // Problems checked at a time. 0: on a GPU, which leaves the processor free for oracles, as many as there
    // are cores, up to 32; elsewhere, where kernels themselves run on all cores, one.
    int num_workers = 0;
};

// One device's part.
struct CheckRun {
    std::string device;                // as it was asked for
    std::shared_ptr<Context> context;  // where rows are forced; other wishes hold
    std::vector<CheckResult> results;
    double seconds = 0;
    bool stopped = false;  // by the caller: the results are not all
};

struct CheckEvents {
    // After every check, on a thread of the check, one at a time. False: no more of them.
    std::function<bool(const CheckResult& result, int num_done, int num_checks)> checked;
    // After all checks of an operation on one device.
    std::function<void(const CheckRun& run, std::string_view op, std::span<const CheckResult> results)>
        finished_operation;
};

// Rows of the devices x problems, those that will be refused too.
int num_checks(const CheckRequest& request, std::span<const CheckRun> runs);

// Operation by operation, and each on all devices, so that they share the oracles' answers. An operation that
// has no check, or a device that has no such row, is an error before anything runs.
Status run_checks(const CheckRequest& request, std::span<CheckRun> runs, const CheckEvents& events);

nlohmann::ordered_json check_report(const CheckRequest& request, const CheckRun& run);

// Keeps what was found out about the device's rows for those who open it later, and lets `context`, of the
// same device, choose accordingly from now on. Of a check that was stopped, or that compiled kernels of its
// own (Context::forbid_contraction), less: only failures, and nothing. -> what was kept.
Result<std::vector<TrustVerdict>> keep_verdicts(Context& context, const CheckRun& run);

}  // namespace warpwright
