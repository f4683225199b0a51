// SPDX-License-Identifier: Apache-2.0
// What checks of codes and scales share: those of `quantize`, and of operations that quantise their result.
#pragma once

#include <span>
#include <vector>

#include "check/harness.h"
#include "kernels/fused/quantize/oracle.h"
#include "kernels/fused/quantize/outputs.h"
#include "warpwright/ops/quantized_output.h"

namespace warpwright {

// Codes one by one, of bytes that may have two each.
std::vector<float> unpacked_codes(const std::vector<float>& bytes, CodeType code);

// Stored scales with those that fill up 128 rows and 4 columns.
std::vector<double> swizzled_scales(const std::vector<double>& scales, i64 rows, i64 columns);

// A quantised output of a check's call, and what it must be.
class QuantizedOutputCheck {
public:
    // Rows x columns of a problem with these fields; with an amax where its scale is given.
    QuantizedOutputCheck(Workbench& bench, const QuantizedFields& fields, i64 rows, i64 columns,
                         bool misaligned);

    const QuantizedOutput& output() const { return output_; }

    // Codes, scales and amax are exactly those of this result, [rows, columns] of 16 bits.
    void judge_codes(CheckResult& result, const std::vector<float>& values) const;

private:
    Workbench& bench_;
    QuantizeProblem problem_;
    QuantizedOutput output_;
};

// Problems of every kind of format: columns that a group of it divides, or an odd number without alignment.
struct QuantizedCase {
    QuantizedFields fields;
    i64 rows;
    i64 columns;
    i64 alignment_bytes = 16;
};
std::vector<QuantizedCase> quantized_cases();

}  // namespace warpwright
