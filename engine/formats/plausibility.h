// SPDX-License-Identifier: Apache-2.0
// Whether weights are what the declared convention makes of them. Conventions that differ by one, or by a
// reciprocal, have the same names and shapes: only the values tell.
#pragma once

#include "engine/formats/layer_format.h"
#include "formats/stored_weight.h"

namespace warpwright {

// Refuses, by name, where another convention fits clearly and the declared one clearly does not:
//   GPTQ v1 (zero points less one) against v2, and the other way round
//   NVFP4's global scale as a divisor (compressed-tensors) against a multiplier (ModelOpt), and the other way
//   round FP8's scales as multipliers against divisors
// Reads some rows. Weights that fit both, or neither, pass.
Status check_plausible(const formats::StoredWeight& weight, const LayerFormat& format);

}  // namespace warpwright
