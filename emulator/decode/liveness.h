// SPDX-License-Identifier: Apache-2.0
// When a register holds a value that somebody still reads.
#pragma once

#include <vector>

#include "emulator/decode/statement_binding.h"

namespace warpwright::emulator {

// All instructions from `first` to `last`, in the order of the code, that write the register, read it, or lie
// where its value is needed later on some path. Two registers whose intervals do not meet never hold values
// at the same time. first > last: never named.
struct LiveInterval {
    i32 first = 0;
    i32 last = -1;
};

// One for each virtual register.
//
// This is liveness of a single thread, and it holds for warps whose lanes are at different instructions too:
// a slot has a place for each lane, a handler touches the places of its active lanes only, and what a lane's
// place holds is told by the path of that lane alone. Instructions that read other lanes' registers (shfl,
// mma) do so when all these lanes execute them. An instruction's sources are read, and its destinations
// written, when it is executed and never later: cp.async copies its addresses.
std::vector<LiveInterval> live_intervals(const BoundCode& code);

}  // namespace warpwright::emulator
