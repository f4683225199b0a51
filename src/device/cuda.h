// SPDX-License-Identifier: Apache-2.0
// NVIDIA GPUs as devices, through the driver API.
#pragma once

#include <memory>

#include "device/cuda_api.h"
#include "warpwright/device.h"

namespace warpwright {

// The device keeps the GPU's primary context, which it shares with every other user of CUDA in the process. A
// call leaves the thread's current context as it found it. Stream{} is the driver's legacy default stream;
// streams made here are non-blocking and do not order against it. `api` must outlive the device.
Result<std::shared_ptr<Device>> open_cuda_device(const CudaApi& api, int ordinal);

}  // namespace warpwright
