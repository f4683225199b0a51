// SPDX-License-Identifier: Apache-2.0
// An expanded payload -> Image: headers, attributes, kernels, instruction classes, stubs. What is damaged is
// said in Image::damage; nothing throws, nothing reads outside, memory is bounded by the input's size.
#pragma once

#include "inspect/bytes.h"
#include "inspect/report.h"

namespace warpwright::inspect {

enum class Depth : u8 {
    headers,  // no instruction is decoded: NVIDIA's licences of cuBLAS, cuDNN, cuFFT... forbid disassembly
    instructions,
};

// ELF64, e_machine 190, ABI 7 or 8. Fills architecture (and evidence) from header, notes and .nv.compat.
bool is_cubin(Bytes bytes);
void read_cubin(Bytes bytes, Depth depth, Image& image);

class FormUses;

// PTX text: .version, .target, entries, their bounds, instruction classes. `uses` is told of every
// instruction, if it is asked for and the depth allows it.
void read_ptx(std::string_view text, Depth depth, Image& image, FormUses* uses = nullptr);

// The stubs of CUDA's LTO-IR are opaque: architecture and options come from the fatbin's entry.

}  // namespace warpwright::inspect
