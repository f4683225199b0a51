// SPDX-License-Identifier: Apache-2.0
// Instructions of a warp's lanes together: who takes part. PTX ISA 9.7.9.6 and 9.7.13: a lane names the lanes
// that it waits for in its member mask, itself among them. Lanes that execute the same instruction may name
// different groups, when these are disjoint.
#pragma once

#include "emulator/machine/warp.h"

namespace warpwright::emulator {

// Instruction::detail of these: the member mask when it is a literal, and where in `slot` it is otherwise.
constexpr int kDetailMask = 0, kDetailMaskSlot = 1;

struct MaskGroups {
    int num = 0;
    u32 lanes[kLanes];
};
// The groups that execute it together. Flow::next when all of them are there; otherwise nothing is to be
// done, or a finding was made.
Flow find_groups(Warp& warp, const Instruction& instruction, u32 active, MaskGroups& groups);

}  // namespace warpwright::emulator
