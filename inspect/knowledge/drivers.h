// SPDX-License-Identifier: Apache-2.0
// The oldest drivers that take an image: by the version of its PTX, its toolkit, its compression.
//
// A driver is a number: major x 100 + minor, 55054 for 550.54.14, 58000 for any 580.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "device/ptx_versions.h"
#include "inspect/report.h"

namespace warpwright::inspect {

struct Floor {
    int driver = 0;      // 0: any
    std::string reason;  // "PTX ISA 8.7", "CUDA 13 code", "compressed with zstd"
};
// PTX of a version that is newer than the table needs a driver newer than the table's last.
Floor driver_floor(const Image& image);

std::string driver_text(int driver);                        // "580", "550.54"
std::optional<int> parse_driver(std::string_view version);  // "580", "580.95", "550.54.14"

}  // namespace warpwright::inspect
