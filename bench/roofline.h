// SPDX-License-Identifier: Apache-2.0
// What this device's memory gives to a kernel that does nothing else: the roof of everything that is limited
// by memory (DESIGN section 7).
#pragma once

#include <string>

#include "warpwright/context.h"

namespace warpwright::bench {

// 1e9 bytes a second: the best of several grids. Copying counts bytes read and bytes written.
struct Roofline {
    double read_gb_s = 0;
    double copy_gb_s = 0;
};

// A kernel that reads `from`, or copies it, with a grid of `blocks`: src/kernels/roofline, or on the host a
// loop. Reading leaves its result in `to`, roofline_read_bytes(blocks) of it.
enum class RooflineKernel : u8 { read, copy };
Result<Prepared> prepare_roofline(Context& context, RooflineKernel kernel, const void* from, void* to,
                                  i64 bytes, int blocks);
std::size_t roofline_read_bytes(int blocks);

Result<Roofline> measure_roofline(Context& context);

}  // namespace warpwright::bench
