// SPDX-License-Identifier: Apache-2.0
// Does a file run on a GPU, and why: which image the driver takes for each kernel, by the rules of binary
// compatibility and of compiling PTX, then what that image's kernels need. docs/inspect.md, "How a verdict is
// made".
#pragma once

#include <span>
#include <vector>

#include "inspect/report.h"
#include "warpwright/target.h"

namespace warpwright::inspect {

struct JudgeOptions {
    // 58095 for 580.95, major x 100 + minor (parse_driver of drivers.h); 0: new enough, and the text says
    // what is needed.
    int driver = 0;
    bool force_ptx_jit = false;  // CUDA_FORCE_PTX_JIT=1
};

// `target` is a GPU: the CPU has no verdict.
Verdict judge(const FileReport& file, const Target& target, const JudgeOptions& options = {});

// The same for several GPUs, with one look at the file's kernels.
std::vector<Verdict> judge(const FileReport& file, std::span<const Target> targets,
                           const JudgeOptions& options = {});

}  // namespace warpwright::inspect
