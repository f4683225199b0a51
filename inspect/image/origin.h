// SPDX-License-Identifier: Apache-2.0
// Where a cubin comes from: its architecture by every source that tells, the tools and the options that made
// it.
#pragma once

#include "inspect/image/cubin_elf.h"
#include "inspect/report.h"

namespace warpwright::inspect {

// Fills architecture and its evidence (what the fatbin's entry said is there already), abi, toolkit, options,
// made_by_nvrtc, relocatable, isa_class. Sources that contradict each other are named in the evidence.
void read_origin(const CubinElf& elf, Image& image);

// What one program left in .note.nv.tkinfo.
struct ToolNote {
    std::string_view tool;     // "ptxas", "nvlink"
    std::string_view release;  // "Cuda compilation tools, release 13.0, V13.0.88"
    std::string_view build;    // "Build cuda_13.0.r13.0/compiler.36424714_0"
    std::string_view command;  // "-arch sm_90a -m 64"
};
std::vector<ToolNote> read_tool_notes(Bytes notes);

// The SM number of e_flags; its suffix only where ABI 7 says it.
Architecture architecture_of_flags(const CubinHeader& header);

// How far the code uses tensor maps: 0 not, 1 uses, 2 edits; -1: not told (before sm_90).
int tensor_map_use(const CubinElf& elf);

}  // namespace warpwright::inspect
