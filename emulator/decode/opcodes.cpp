// SPDX-License-Identifier: Apache-2.0
#include "emulator/decode/binding.h"

namespace warpwright::emulator {

std::vector<const Opcode*> opcodes() {
    std::vector<const Opcode*> all;
    for (const auto list : {integer_opcodes(), float_opcodes(), half_opcodes(), convert_opcodes(),
                            move_opcodes(), memory_opcodes(), async_opcodes(), matrix_opcodes(),
                            mma_opcodes(), warp_opcodes(), control_opcodes()}) {
        for (const Opcode& opcode : list) all.push_back(&opcode);
    }
    return all;
}

NumericsClass numerics_of(int compute_capability) {
    if (compute_capability < 88) return NumericsClass::ampere;
    if (compute_capability < 90) return NumericsClass::ada;
    if (compute_capability < 100) return NumericsClass::hopper;
    return NumericsClass::blackwell;
}

}  // namespace warpwright::emulator
