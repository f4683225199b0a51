// SPDX-License-Identifier: Apache-2.0
// Which installed Python packages have device code, and whether it runs on the GPUs of a machine.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "device/machine.h"
#include "inspect/report.h"
#include "warpwright/status.h"

namespace warpwright::inspect {

// Reads every file of Python environments (prefixes or site-packages) and puts the packages that have device
// code, with a verdict for each model of GPU in `machine`, into machine.packages. Known packages without any
// stay as they are. Verdicts go by the machine's driver. A machine without a GPU is a caller error.
Status judge_packages(const std::vector<std::string>& environments, Machine& machine,
                      const std::function<void(u64 done_bytes, u64 total_bytes)>& progress = {});

// The verdict of several files of one package together, for the targets that they were judged for.
std::vector<PackageVerdict> verdicts_of(const std::vector<const FileReport*>& files);

}  // namespace warpwright::inspect
