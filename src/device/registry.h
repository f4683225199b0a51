// SPDX-License-Identifier: Apache-2.0
// The one door to devices: a name is a prefix ("cpu", "cuda", "emulated") and what follows its colon, and
// each kind of device says here how it is opened. A kind outside of this folder adds itself from its own
// file:
//     const bool registered = register_device_kind({"emulated", "emulated:GPU", open, nullptr});
// Such a file must be linked as an object: a linker leaves out members of an archive that nothing names.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/device.h"

namespace warpwright {

struct DeviceKind {
    std::string prefix;  // "cuda"
    std::string form;    // how names of this kind read: "cuda:N"
    // `argument` is what follows the colon, empty without one.
    Result<std::shared_ptr<Device>> (*open)(std::string_view argument) = nullptr;
    // Ids that can be opened on this machine, without opening them; may be null.
    std::vector<std::string> (*list)() = nullptr;
};

// A kind with a known prefix takes the place of the one before it. Always true, to initialise a constant
// with.
bool register_device_kind(DeviceKind kind);

// In order of registration, this library's own first.
std::vector<DeviceKind> device_kinds();

}  // namespace warpwright
