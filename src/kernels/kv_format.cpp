// SPDX-License-Identifier: Apache-2.0
#include "kernels/kv_format.h"

#include "kernels/parse_enum.h"

namespace warpwright {

Status parse_enum(std::string_view name, std::string_view text, KvFormat& format) {
    return parse_one_of(name, text, {KvFormat::same, KvFormat::fp8_e4m3, KvFormat::fp8_e5m2, KvFormat::nvfp4},
                        format);
}

}  // namespace warpwright
