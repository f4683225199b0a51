// SPDX-License-Identifier: Apache-2.0
// Gated activation from its definition, in fp64.
#pragma once

#include <vector>

#include "kernels/host_gate.h"

namespace warpwright {

// gated of host_gate.h is the definition.
inline std::vector<double> gated_activation_oracle(const std::vector<float>& gate,
                                                   const std::vector<float>& up, Activation activation,
                                                   const GateArgs& by) {
    std::vector<double> out(gate.size());
    for (std::size_t i = 0; i < gate.size(); ++i) out[i] = gated<double>(by, activation, gate[i], up[i]);
    return out;
}

}  // namespace warpwright
