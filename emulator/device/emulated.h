// SPDX-License-Identifier: Apache-2.0
// The device `emulated:GPU`: executes the PTX of images on the CPU, with checks that hardware does not do.
// Everything runs at once, on the caller's thread and the CPU's others; streams only order what is captured.
// A finding of a launch is the error of that launch.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "emulator/machine/launch.h"
#include "warpwright/device.h"

namespace warpwright::emulator {

// What stands after the name of the GPU: "a100,checks=bounds,seed=7,threads=1".
struct DeviceOptions {
    CheckLevel level = CheckLevel::all;
    u64 seed = 0;     // of the order of blocks and warps; 0: in order
    int threads = 0;  // 0: one for each core
};

class EmulatedDevice : public Device {
public:
    // For tests and for callers with arrays of their own: an address of this device for host memory. Released
    // like an allocation; the bytes stay the caller's.
    virtual Result<void*> import(void* data, std::size_t bytes, bool read_only) = 0;
    virtual const DeviceOptions& options() const = 0;
    // Since the device was opened.
    virtual u64 warp_instructions() const = 0;
    // What kernels printed since the last call.
    virtual std::string take_printed() = 0;
};

// `argument` is a name of data/targets.toml, then options. The error names what is not understood.
Result<std::shared_ptr<EmulatedDevice>> open_emulated_device(std::string_view argument);

}  // namespace warpwright::emulator
