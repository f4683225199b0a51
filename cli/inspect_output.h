// SPDX-License-Identifier: Apache-2.0
// A report of `inspect` as text.
#pragma once

#include "inspect/report.h"

namespace warpwright::cli {

// Files with their libraries, images by architecture, and GPUs by verdict; with `kernels`, every kernel too.
void print_report(const inspect::Report& report, bool kernels);

}  // namespace warpwright::cli
