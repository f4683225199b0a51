// SPDX-License-Identifier: Apache-2.0
// How far one output of a kernel may be from its definition, where that follows from its inputs.
#pragma once

namespace warpwright {

struct ErrorBound {
    float largest = 0;
    float usual = 0;  // of many outputs, the root of the mean square
};

}  // namespace warpwright
