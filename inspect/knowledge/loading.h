// SPDX-License-Identifier: Apache-2.0
// Which of the images of a fatbin a driver takes for a GPU: the rules of binary compatibility and of
// compiling PTX. A compute capability is 10 x major + minor, 120 for 12.0.
//
// Sources: Blackwell compatibility guide (a cubin runs on its major and the same or a later minor), PTX
// ISA 11.1.2
// (.target, architecture families), and what ptxas and nvlink 13.0 accept for 23 targets.
#pragma once

#include <string>
#include <vector>

#include "inspect/report.h"

namespace warpwright::inspect {

// Why an image is not one that a GPU can take.
enum class Misfit : u8 {
    none,
    unknown,       // nothing tells the image's architecture
    other_major,   // a cubin of another major
    newer_minor,   // a cubin of its major, but a later minor
    one_chip,      // a suffix 'a': that number alone
    embedded,      // Tegra parts are apart from the rest of their major
    newer_ptx,     // PTX for later GPUs
    other_family,  // PTX with the suffix 'f' of another family
    opaque,        // LTO-IR: a linker makes code of it, no driver does
};

Misfit cubin_misfit(Architecture architecture, int compute_capability);
Misfit ptx_misfit(Architecture architecture, int compute_capability);
Misfit misfit(const Image& image, int compute_capability);

// The order in which a driver prefers images that fit: cubins before PTX (unless that is turned around), the
// highest number, the most specific suffix. Of two with the same suffix and number either is as good.
int preference(const Image& image, bool force_ptx_jit);

// The architecture as a file says it, "sm_90a" for code and "compute_90a" for PTX.
std::string image_architecture(const Image& image);
std::string capability_text(int compute_capability);  // "12.0"

// What to rebuild with for this GPU: "-gencode arch=compute_120f,code=sm_120f".
// `needs_all`: the code uses what only a suffix gives (wgmma and setmaxnreg on 9.0).
std::string gencode(int compute_capability, bool needs_suffix);

}  // namespace warpwright::inspect
