// SPDX-License-Identifier: Apache-2.0
// What checks found out about rows on one device and driver, kept in the user's cache folder. A row whose
// check failed is not chosen there until it passes, its kernel changes, the driver changes, or it is
// forgotten.
#pragma once

#include <span>
#include <string>

#include "warpwright/device.h"
#include "warpwright/explain.h"

namespace warpwright {

struct TrustVerdict {
    std::string op;
    std::string row;
    bool passed = false;
    std::string text;  // of the first failure
};

// Where it is kept for a device; empty for one that is not remembered: the CPU, an emulated one, or any where
// there is no cache folder.
std::string trust_path(const Device& device);

// Rows that must not be chosen: "failed check on 2026-11-25, driver 580.95.05". A file that is not of
// `warpwright check` is an error that names it.
Result<ForbiddenRows> distrusted_rows(const Device& device);

// Keeps these verdicts, dated today, and what is known of other rows and drivers.
Status remember(const Device& device, std::span<const TrustVerdict> verdicts);

// All that is known of this device. Returns whether there was anything.
Result<bool> forget(const Device& device);

}  // namespace warpwright
