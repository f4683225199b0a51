// SPDX-License-Identifier: Apache-2.0
// tar archives: ustar, pax and GNU's long names.
#pragma once

#include "inspect/bytes.h"

namespace warpwright::inspect {

// Whether a header with a right checksum stands at the beginning.
bool is_tar(Bytes beginning);

}  // namespace warpwright::inspect
