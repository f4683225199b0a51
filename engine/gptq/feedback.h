// SPDX-License-Identifier: Apache-2.0
// Rounding with error feedback: GPTQ (Frantar et al., arXiv 2210.17323) in the form of LDLQ (Chee et al.,
// arXiv 2307.13304, who show that both give the same codes), which needs no inverse.
//
// With H = R^T R and r = R with its rows divided by their diagonal, columns are rounded from the last to the
// first:
//   q[p] = round(w[p] + sum over i > p of r[p, i] (w[i] - q[i]))
// so that each column takes over what the ones before it lost. A group's scale is made of what its columns
// would be if none of them lost anything.
#pragma once

#include <span>

#include "engine/gptq/hessian.h"
#include "formats/quantise.h"

namespace warpwright {

// Columns by growing importance, the diagonal of H: where rounding begins with the last.
std::vector<i32> importance_order(std::span<const float> diagonal);

// Position p of the factored `hessian` is column order[p]; an empty order: p is column p. Groups are those of
// `recipe`, of columns as they lie, by integers; with an order their scales are of the weights as they were
// given. Rows are independent of each other.
void quantise_with_feedback(const formats::Recipe& recipe, const Hessian& hessian, std::span<const i32> order,
                            const float* weights, i64 rows, formats::QuantizedMatrix& out);

}  // namespace warpwright
