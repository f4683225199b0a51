// SPDX-License-Identifier: Apache-2.0
// A mapped file that shrinks, or whose disk fails, raises SIGBUS where it is read. While a guard lives, the
// rest of its mapping reads as zeros instead, and the guard knows.
#pragma once

#include "inspect/bytes.h"

namespace warpwright::inspect {

class BusGuard {
public:
    // `mapping` begins at a page and is unmapped after this.
    explicit BusGuard(Bytes mapping);
    ~BusGuard();
    BusGuard(const BusGuard&) = delete;
    BusGuard& operator=(const BusGuard&) = delete;

    bool was_lost() const;

private:
    int slot_ = -1;
};

}  // namespace warpwright::inspect
