// SPDX-License-Identifier: Apache-2.0
// The images of our own library, in the pack that is linked into it (src/image/pack.h).
#pragma once

#include <vector>

#include "inspect/container/payload.h"

namespace warpwright::inspect {

struct OwnPack {
    std::vector<Payload> payloads;  // each distinct cubin and PTX text, in the order of offsets
    u64 end = 0;                    // 0: there is no pack
    u64 work = 0;                   // bytes read and made to see that
};
OwnPack read_own_pack(Bytes file, u64 offset);

}  // namespace warpwright::inspect
