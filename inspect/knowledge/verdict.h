// SPDX-License-Identifier: Apache-2.0
// Does a file run on a GPU, and why: which image the driver takes for each kernel, by the rules of binary
// compatibility and of compiling PTX, then what that image's kernels need.
#pragma once

#include "inspect/report.h"
#include "warpwright/target.h"

namespace warpwright::inspect {

struct JudgeOptions {
    int driver =
        0;  // "580.95" -> 58095 as major x 100 + minor; 0: new enough, what is needed is said in the text
};

Verdict judge(const FileReport& file, const Target& target, const JudgeOptions& options = {});

}  // namespace warpwright::inspect
