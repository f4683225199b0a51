// SPDX-License-Identifier: Apache-2.0
// src/ptx/launch.cuh for tests/simt/machine.h.
#pragma once

namespace warpwright::ptx {

inline void wait_for_predecessor() {}
inline void release_successor() {}

}  // namespace warpwright::ptx
