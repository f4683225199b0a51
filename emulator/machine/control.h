// SPDX-License-Identifier: Apache-2.0
// The parts of control_opcodes().
#pragma once

#include <span>

#include "emulator/decode/binding.h"

namespace warpwright::emulator {

// What the fields of a barrier's Instruction mean.
constexpr int kBarrierAligned = 0, kBarrierArrives = 1, kBarrierNegated = 2;                   // flag
constexpr int kBarrierUse = 0, kBarrierCountSlot = 1, kBarrierResult = 2, kBarrierSource = 3;  // detail

std::span<const Opcode> barrier_opcodes();
std::span<const Opcode> call_opcodes();
std::span<const Opcode> cluster_opcodes();

}  // namespace warpwright::emulator
