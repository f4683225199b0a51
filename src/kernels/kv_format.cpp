// SPDX-License-Identifier: Apache-2.0
#include "kernels/kv_format.h"

#include <fmt/format.h>

namespace warpwright {

Status parse_enum(std::string_view name, std::string_view text, KvFormat& format) {
    for (int i = 0; i < kNumKvFormats; ++i) {
        if (text != kv_format_name(static_cast<KvFormat>(i))) continue;
        format = static_cast<KvFormat>(i);
        return {};
    }
    return caller_error(fmt::format("{}: expected same, fp8_e4m3 or fp8_e5m2, got '{}'", name, text));
}

}  // namespace warpwright
