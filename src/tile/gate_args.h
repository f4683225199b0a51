// SPDX-License-Identifier: Apache-2.0
// How a gate and what it gates become one value, as warpwright/ops/grouped_gemm.h says. No standard header:
// NVRTC reads this file too.
#pragma once

namespace warpwright {

// gate = min(gate, limit), v limited on both sides; activation(alpha gate) / alpha * (v + up_offset): gpt-oss
// has limit 7, alpha 1.702 and up_offset 1, others infinity, 1 and 0.
struct GateArgs {
    float limit, alpha, up_offset;
};

}  // namespace warpwright
