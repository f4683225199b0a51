// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "inspect/report.h"

namespace warpwright::inspect {

// What the instruction "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32" is: as it is written, whatever a
// compiler makes of it for a GPU without it.
InstructionClasses classes_of_mnemonic(std::string_view mnemonic);

// cp.async.bulk.tensor, tensormap.replace, ...: it reads or edits a tensor map.
bool uses_tensor_map(std::string_view mnemonic);

}  // namespace warpwright::inspect
