// SPDX-License-Identifier: Apache-2.0
// The code of a kernel: of its own section, and of the functions that it calls in others (.nv.callgraph).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "inspect/image/cubin_elf.h"
#include "inspect/image/sass.h"

namespace warpwright::inspect {

class KernelCode {
public:
    // Decodes nothing yet. `elf` must live as long.
    KernelCode(const CubinElf& elf, int sm);

    // Of the function of this symbol. Each section is decoded once; nothing when sections overlap so much
    // that all of them are longer than the file a few times.
    std::optional<CodeFacts> of(u32 symbol);

    // The sections of its code.
    std::vector<u32> sections_of(u32 symbol);

    // Names of the symbols outside that it calls, itself or through other functions.
    std::vector<std::string_view> calls_outside(u32 symbol);

private:
    std::vector<u32> reachable(u32 symbol);
    const CodeFacts* of_section(u32 section);

    const CubinElf& elf_;
    int sm_;
    std::vector<std::pair<u32, u32>> calls_;  // caller, called; sorted
    std::vector<std::optional<CodeFacts>> of_section_;
    u64 left_bytes_ = 0;
    u64 left_visits_ =
        0;  // of functions, of all kernels together: beyond, what a kernel calls is not looked at
};

}  // namespace warpwright::inspect
