// SPDX-License-Identifier: Apache-2.0
// KvFormat as a field of problems, and its numbers on the host.
#pragma once

#include <string_view>

#include "formats/codecs.h"
#include "warpwright/kv_format.h"
#include "warpwright/status.h"

namespace warpwright {

Status parse_enum(std::string_view name, std::string_view text, KvFormat& format);

// Of codes.
constexpr const formats::SmallFloat& small_float_of(KvFormat format) {
    return format == KvFormat::fp8_e4m3 ? formats::kE4M3 : formats::kE5M2;
}

}  // namespace warpwright
