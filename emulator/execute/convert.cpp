// SPDX-License-Identifier: Apache-2.0
#include "emulator/decode/binding.h"

namespace warpwright::emulator {

std::span<const Opcode> convert_opcodes() {
    return {};
}

}  // namespace warpwright::emulator
