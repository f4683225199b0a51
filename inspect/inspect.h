// SPDX-License-Identifier: Apache-2.0
// The whole pass: paths -> files -> payloads -> images -> libraries and verdicts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "inspect/container/files.h"
#include "inspect/isa/judge.h"
#include "inspect/knowledge/verdict.h"
#include "inspect/report.h"
#include "warpwright/status.h"

namespace warpwright::inspect {

struct InspectOptions {
    std::vector<Target> targets;  // the GPUs to judge for; none: no verdicts
    JudgeOptions judge;
    std::vector<IsaTarget> isa;  // of the instructions of PTX: the targets to judge for
    Limits limits;
    u64 max_image_bytes = u64{1} << 30;  // one image, expanded
    int threads = 0;                     // 0: as many as there are cores
    std::function<void(u64 done_bytes, u64 total_bytes)> progress;
    std::function<bool()> stop;
};

// Files are in the order of their paths, whatever the threads did. A path that is not there is a caller
// error.
Result<Report> inspect_paths(const std::vector<std::string>& paths, const InspectOptions& options);

// One file whose bytes are at hand.
FileReport inspect_bytes(std::string path, Bytes bytes, const InspectOptions& options);

}  // namespace warpwright::inspect
