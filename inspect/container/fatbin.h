// SPDX-License-Identifier: Apache-2.0
// A fatbin: a header of 16 bytes and entries, each an image of one kind for one architecture. docs/inspect.md
// has the offsets.
#pragma once

#include <optional>
#include <vector>

#include "inspect/container/payload.h"

namespace warpwright::inspect {

constexpr u64 kFatbinFlagLz4 = 0x2000, kFatbinFlagZstd = 0x8000;
constexpr u64 kFatbinFlagSuffixA = 0x00100000, kFatbinFlagSuffixF = 0x00200000;

struct Fatbin {
    u64 end = 0;  // of the file: where the scan goes on
    std::vector<Payload> entries;
};

// Whether a fatbin with an entry begins at `offset`, by its headers.
bool is_fatbin(Bytes file, u64 offset);

// The fatbin at `offset`; nothing where no fatbin begins there: code holds
// accidental ones. What is damaged is noted, and the entries before it are given.
std::optional<Fatbin> read_fatbin(Bytes file, u64 offset, ScanNotes& notes);

}  // namespace warpwright::inspect
