// SPDX-License-Identifier: Apache-2.0
// A report as one self-contained page: files x GPUs in green, yellow and red, details to unfold, a filter;
// readable on a phone, in the dark and without colours. Everything from files is escaped.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "inspect/report.h"
#include "warpwright/target.h"

namespace warpwright::inspect {

struct PageOptions {
    std::vector<Target> targets;  // that were judged, in the order of the verdicts
    std::string title;            // "vllm-0.11.0.whl"
    std::string made_by;          // "warpwright 0.1.0, 2026-11-26: warpwright inspect x.whl --html x.html"
};

void write_html(const Report& report, const PageOptions& options,
                const std::function<void(const std::string&)>& write);

}  // namespace warpwright::inspect
