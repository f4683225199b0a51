// SPDX-License-Identifier: Apache-2.0
// The part of emulator_bench that runs our own kernels and the shipped model.
#pragma once

#include <string>

#include "warpwright/status.h"

namespace warpwright::emulator {

// Prints a line for RMSNorm, gemm and decode at each level of checks, on one thread. `model` is the folder of
// the shipped model; empty leaves its line out.
Status print_kernels(const std::string& model);

}  // namespace warpwright::emulator
