// SPDX-License-Identifier: Apache-2.0
// The CPU as a device: C++ rows on a thread pool.
#pragma once

#include <memory>

#include "warpwright/device.h"

namespace warpwright {

// Streams run at once and in the caller's thread, so they order nothing: a launch has finished when it
// returns. `num_threads` 0 takes every core that the process may use.
Result<std::shared_ptr<Device>> open_host_device(int num_threads = 0);

}  // namespace warpwright
