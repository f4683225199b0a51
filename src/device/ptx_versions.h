// SPDX-License-Identifier: Apache-2.0
// Which driver takes which version of PTX.
#pragma once

#include <span>
#include <string>

namespace warpwright {

struct PtxIsaFloor {
    int isa_version;  // 10 x major + minor of .version
    int cuda;         // 10 x major + minor of the toolkit that brought it
    int driver;       // of that toolkit: major x 100 + minor, 58000 for any 580
};
std::span<const PtxIsaFloor> ptx_isa_floors();  // oldest first

// The newest PTX that a driver compiles, by the CUDA version that it implements: "13.0" -> "9.0". Empty for a
// version that is no number or older than the table; for one that is newer than it, the table's last.
std::string newest_ptx(const std::string& cuda_version);

}  // namespace warpwright
