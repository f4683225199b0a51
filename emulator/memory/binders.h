// SPDX-License-Identifier: Apache-2.0
// What the binders of memory instructions share.
#pragma once

#include <optional>
#include <span>

#include "emulator/decode/binding.h"

namespace warpwright::emulator {

// The state space of an access, from its modifier or the symbol in its address. A space that it must not have
// is an error.
std::optional<Space> take_space(Binding& binding, const Operand& address);
// .cta .cluster .gpu .sys: all are one on one device.
bool take_scope(Binding& binding);
// .L1::evict_first and the like, .L2::128B: hints, which change no value.
void take_cache_hints(Binding& binding);
// The operand of .L2::cache_hint, when there is that modifier: its value is not used.
void take_cache_policy(Binding& binding, int operand);

// --- ld and st ---

struct Shape {  // of what one lane loads or stores
    Type type = Type::none;
    int element = 0, count = 0;  // log2 of the bytes of an element, and of how many there are
};
Result<Shape> take_shape(Binding& binding);
// The slots of the elements, `found` from `first` on: as many as there must be, and as wide.
void check_elements(Binding& binding, const Operand& operand, int first, int found, const Shape& shape);
// .volatile, .mmio, .relaxed and `ordered` with a scope: true; .weak is the default.
bool take_strength(Binding& binding, std::string_view ordered);
void set_access(Binding& binding, Space space, bool is_narrow, bool is_strong);

Status bind_load(Binding& binding);
Status bind_store(Binding& binding);
std::span<const Opcode> atomic_opcodes();

}  // namespace warpwright::emulator
