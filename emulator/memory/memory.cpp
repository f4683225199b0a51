// SPDX-License-Identifier: Apache-2.0
#include "emulator/decode/binding.h"

namespace warpwright::emulator {

std::span<const Opcode> memory_opcodes() {
    return {};
}

}  // namespace warpwright::emulator
