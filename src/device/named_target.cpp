// SPDX-License-Identifier: Apache-2.0
#include "device/named_target.h"

#include "warpwright/device.h"

namespace warpwright {

Result<Target> named_target(std::string_view name) {
    if (name != "auto" && !name.starts_with("cuda")) return find_target(name);
    WW_ASSIGN(const auto device, open_device(name));
    return device->target();
}

}  // namespace warpwright
