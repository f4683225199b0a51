// SPDX-License-Identifier: Apache-2.0
// Rows of quantised weights, from pieces as they are stored to codes as kernels read them (layout.h).
#pragma once

#include "engine/weight_forms.h"
#include "formats/quantized_matrix.h"
#include "kernels/quantized_gemm/pack.h"

namespace warpwright {

// Appends rows of the same code and columns; scales and zero points become each row's own.
void append_rows(const formats::QuantizedMatrix& rows, formats::QuantizedMatrix& to);

// pack_weight for a block of rows of a larger weight, whose form it must have: scales are repeated where
// kernels take smaller groups, and have the form's type. Every scale must be a number of that type.
Result<PackedWeight> pack_rows(formats::QuantizedMatrix rows, const WeightForm& form);

}  // namespace warpwright
