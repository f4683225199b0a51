// SPDX-License-Identifier: Apache-2.0
// Codes and scales of the results of other host rows.
#pragma once

#include "kernels/fused/quantize/outputs.h"

namespace warpwright {

// Of one row, of 16-bit numbers. Rows may be done by any threads, in any order.
void quantize_host_row(const QuantizedArgs& out, DType dtype, i64 row, const void* result);

// What swizzled scales have beyond rows and columns.
void store_host_padding(const QuantizeArgs& args);

}  // namespace warpwright
