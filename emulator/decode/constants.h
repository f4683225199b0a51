// SPDX-License-Identifier: Apache-2.0
// Immediates and addresses of symbols as slots of the register file, each value once.
#pragma once

#include <unordered_map>
#include <vector>

#include "emulator/parse/module.h"
#include "warpwright/status.h"

namespace warpwright::emulator {

class ConstantPool {
public:
    // The first slot of `value`, which is `width` slots wide (1, 2 or 4). The upper half of a value of 128
    // bits is zero.
    int slot_of(u64 value, int width);
    int num_slots() const { return static_cast<int>(slots_.size()); }
    // One word for each lane of each slot, as they stand in the register file.
    std::vector<u32> lanes() const;

private:
    struct Slot {
        u64 value;
        int width;  // of the value
    };
    std::unordered_map<u64, int> narrow_, wide_, widest_;
    std::vector<Slot> slots_;
};

// The bits of a literal where an operand of `type` is expected (PTX ISA 4.5): integers are cut to the
// type's size; a floating-point literal is rounded to f32, or keeps its bits where the type is b32 or b64.
// What ptxas does not accept is an error.
Result<u64> encode_literal(const Operand& literal, Type type);

}  // namespace warpwright::emulator
