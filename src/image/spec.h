// SPDX-License-Identifier: Apache-2.0
// ImageSpec: what identifies an image before it is compiled.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "warpwright/types.h"

namespace warpwright {

struct ImageSpec {
    std::string source;       // embedded kernel file: "src/kernels/fused/rmsnorm/portable.cuh"
    int row_index = 0;        // -DWW_ROW, the position in the table; not part of the key
    std::string row;          // the row's name, its identity
    std::string row_content;  // every field of the row as text; part of the key
    BuildTarget build_target = BuildTarget::host;
    // The build target whose image of this row has the same code; none: compiled for its own.
    std::optional<BuildTarget> code_of;
    std::string spill_reason;  // not empty: this row may spill, and why
    // Whether the compiler may make one fma of a product and a sum. Without, two devices that follow IEEE 754
    // give the same bits; such images are compiled at first use and never packed.
    bool contracts = true;
};

// Every image that the registry's rows can be built into.
std::vector<ImageSpec> all_image_specs();

}  // namespace warpwright
