// SPDX-License-Identifier: Apache-2.0
// Where our rows were tried: what docs/results keeps of `warpwright check` on real GPUs, and the GPUs on
// which
// ./test executes every row by the emulator (data/emulated.toml).
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/types.h"

namespace warpwright::libraries {

enum class Evidence : u8 { none, emulated, measured };
const char* evidence_name(Evidence evidence);  // "untested", "emulated", "measured"

// One GPU, one day.
struct CheckedGpu {
    std::string target, gpu, date;  // "h100-sxm", "H100 SXM", "2026-11-26"
    int capability = 0;
    std::set<std::string, std::less<>> passed;  // rows with problems that passed and none that failed
};

struct TestRecord {
    std::vector<CheckedGpu> gpus;                 // the newest record of each target
    std::map<std::string, std::string> emulated;  // build target -> target

    // The best that is known of a row on a GPU of this capability.
    Evidence evidence(std::string_view row, int capability) const;
    const CheckedGpu* gpu(int capability) const;  // where rows were measured
};

// `check_reports`: (path, text) of condensed reports (tools/condense_check.py).
TestRecord read_record(const std::vector<std::pair<std::string, std::string>>& check_reports,
                       std::string_view emulated_toml);  // throws std::logic_error
const TestRecord& test_record();

}  // namespace warpwright::libraries
