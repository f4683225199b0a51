// SPDX-License-Identifier: Apache-2.0
// What a tensor map may describe, checked before the driver is asked: it answers every mistake with the same
// CUDA_ERROR_INVALID_VALUE.
//
// One rule is the kernel's and cannot be checked here: the innermost coordinate of a copy, in bytes, must be
// a multiple of 16, negative or past the end as it may be; other coordinates are free. On H100 a copy from
// anywhere else ends in CUDA_ERROR_ILLEGAL_INSTRUCTION (seen with 16 and 32 bit elements, no swizzle).
#pragma once

#include "warpwright/device.h"

namespace warpwright {

// Rules of cuTensorMapEncodeTiled without interleave (CUDA driver API, "Tensor Map Object Management"). A
// caller error names the field, what was expected and what was got.
Status check_tensor_map(const TensorMapSpec& spec);

}  // namespace warpwright
