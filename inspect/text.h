// SPDX-License-Identifier: Apache-2.0
// Figures and names for people; container/printable.h makes names of untrusted files fit to show.
#pragma once

#include <string>
#include <string_view>

#include "inspect/report.h"

namespace warpwright::inspect {

std::string bytes_text(u64 bytes);             // "512 B", "1.4 MB": powers of ten
std::string title_of(const Library& library);  // "NCCL 2.28.9", "CUTLASS (templates of sm90, sm100)"

// At most `most` characters of it, the middle left out.
std::string shortened(std::string_view text, size_t most);

// The last two parts: "wheel.whl!/vllm/_C.abi3.so" -> "vllm/_C.abi3.so".
std::string_view short_path(std::string_view path);

}  // namespace warpwright::inspect
