// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace warpwright::inspect {

// The architecture that a kernel's name says it is written for: 90 of "...MainloopSm90TmaGmma...", of
// "sm90_fp8_gemm_1d2d_impl" and of "cutlass3x_sm90_..."; 0 where the name says none. Where it says several,
// the main loop's.
int template_architecture(std::string_view kernel_name);

}  // namespace warpwright::inspect
