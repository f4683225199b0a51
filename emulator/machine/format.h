// SPDX-License-Identifier: Apache-2.0
// printf of kernels: CUDA programming guide, "Formatted output".
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "warpwright/types.h"

namespace warpwright::emulator {

// Where the arguments come from: each lies at a multiple of its size behind the one before it.
struct FormatArguments {
    // 4 or 8 bytes at an offset; nothing when they cannot be read.
    std::function<std::optional<u64>(u64 offset, int bytes)> word;
    // The characters at an address up to the null.
    std::function<std::optional<std::string>(u64 address)> string;
};

struct Formatted {
    std::string text;
    int num_arguments = 0;
    std::string error;  // an argument that could not be read, and why
};

// Flags, widths (numbers and *), precisions, sizes hh h l ll z j t, conversions d i u o x X c s p f F e E g G
// a A %. What is none of these is printed as it stands.
Formatted format_printf(std::string_view format, const FormatArguments& arguments);

}  // namespace warpwright::emulator
