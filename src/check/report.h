// SPDX-License-Identifier: Apache-2.0
// The report of a check: what an owner of a GPU that we lack can send back. It says which GPU and driver,
// what was asked and what came out; nothing of the machine's owner, name, files or serial numbers.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "check/check.h"
#include "dispatch/trust.h"

namespace warpwright {

struct CheckReportHead {
    std::string device;   // as it was asked for
    std::string command;  // that makes the same report
    u64 seed = 1;
    double seconds = 0;
    bool stopped = false;  // before all checks were made
};

nlohmann::ordered_json check_report(Context& context, std::span<const CheckResult> results,
                                    const CheckReportHead& head);

// One report, or an array of several, as it is written to files.
std::string report_text(const nlohmann::ordered_json& reports);

// One verdict for each row that was tried: it passed when every problem of it did.
std::vector<TrustVerdict> verdicts_of(std::span<const CheckResult> results);

}  // namespace warpwright
