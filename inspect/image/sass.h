// SPDX-License-Identifier: Apache-2.0
// Machine code of compute capability 7.5 to 12.1 as sets of instruction classes. Instructions are 128 bits:
// bits 0 to 8 of the low word are the opcode, 9 to 11 its operand form. Numbers are reused between
// architectures, so that each has its own table. What the numbers mean was measured: forms of PTX were
// assembled one by one by ptxas 13.0 for 23 targets, and the bits compared.
#pragma once

#include <vector>

#include "inspect/bytes.h"
#include "inspect/report.h"

namespace warpwright::inspect {

struct CodeFacts {
    InstructionClasses classes;
    bool uses_tensor_map = false;
    bool has_effect = false;  // anything but arithmetic, fences, branches, calls, traps and the end
    bool calls = false;
    bool traps = false;
    u64 num_instructions = 0;
    // Where constant bank 4 is read, in bytes: addresses of texts are there. The first of them.
    std::vector<u32> bank4_offsets;
    // A product of fp8 values by conversions to fp16, which is what a compiler makes of fp8 mma.sync where
    // tensor cores have none: products that begin at zero, and sums behind them.
    u64 num_half_products = 0, num_half_products_from_zero = 0;
    u64 num_fp8_unpacked = 0, num_sums = 0;

    void add(const CodeFacts& other);
};

// False for chips whose code cannot be read: before 7.5, and those that are newer than this table.
bool can_read_code(int sm);

CodeFacts read_code(Bytes code, int sm);

// Of all the code that a kernel consists of.
bool is_emulated_fp8(const CodeFacts& facts, int sm);

}  // namespace warpwright::inspect
