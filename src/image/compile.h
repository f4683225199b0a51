// SPDX-License-Identifier: Apache-2.0
// The one compiler of kernels, for the pack at build time and for anything else at run time. PTX, cubin and
// resource figures of an image come from the same compilation.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "image/nvrtc.h"
#include "image/sources.h"
#include "image/spec.h"
#include "warpwright/device.h"

namespace warpwright {

struct Compiled {
    Image image;
    std::string warnings;  // of the front end and the assembler, performance warnings included; usually empty
};

// Compiles `#include "<spec.source>"` with WW_ROW (the row's index in the table that the compiler sees),
// WW_TARGET (the BuildTarget as int) and WW_ENTRY (entry_name(row)) defined. The error names the row and the
// target and carries the compiler's first errors.
Result<Compiled> compile(const ImageSpec& spec, const SourceClosure& sources, const Nvrtc& nvrtc);

// With the sources and the compiler of this process.
Result<Compiled> compile(const ImageSpec& spec);

// The compiler's options but for those that are not part of a key: the row's index, and where NVRTC looks.
std::vector<std::string> compile_flags(const ImageSpec& spec);

// The row's name with what an identifier cannot hold turned to '_'.
std::string entry_name(std::string_view row);

// "attention.portable.bf16.d128 for sm_120f": how errors call an image.
std::string image_title(const ImageSpec& spec);

// Reads what `ptxas -v` reported into the log. Nothing when the figures are not there.
bool parse_resources(std::string_view log, ImageResources& resources);

}  // namespace warpwright
