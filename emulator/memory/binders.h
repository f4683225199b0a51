// SPDX-License-Identifier: Apache-2.0
// What the binders of memory instructions share.
#pragma once

#include <optional>
#include <span>

#include "emulator/decode/binding.h"

namespace warpwright::emulator {

// By log2 of an element's bytes and of how many elements: null where PTX has none.
struct AccessHandlers {
    Handler load[5][4];
    Handler store[5][4];
};

// The state space of an access, from its modifier or the symbol in its address. A space that it must not have
// is an error.
std::optional<Space> take_space(Binding& binding, const Operand& address);
// .cta .cluster .gpu .sys: all are one on one device.
bool take_scope(Binding& binding);
// .L1::evict_first and the like, .L2::128B: hints, which change no value.
void take_cache_hints(Binding& binding);
// The operand of .L2::cache_hint, when there is that modifier: its value is not used.
void take_cache_policy(Binding& binding, int operand);

std::span<const Opcode> atomic_opcodes();

}  // namespace warpwright::emulator
