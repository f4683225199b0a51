// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "inspect/container/payload.h"

namespace warpwright::inspect {

// A payload's bytes, as a copy of its own.
inline Result<std::vector<std::byte>> expand(const Payload& payload, u64 max_bytes) {
    Expander expander;
    WW_ASSIGN(const Bytes bytes, expander.expand(payload, max_bytes));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
}

}  // namespace warpwright::inspect
