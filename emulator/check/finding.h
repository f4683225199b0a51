// SPDX-License-Identifier: Apache-2.0
// A finding: what a kernel did that it must not. The first one ends its launch, as a fault does on a GPU.
#pragma once

#include <optional>
#include <string>

#include "warpwright/types.h"

namespace warpwright::emulator {

// How much a launch checks beside executing. `off`: only what no launch can go on after (an address that is
// nothing, a deadlock). `bounds`: also alignment, lifetimes, convergence, limits, legality. `all`: also
// initialisation of shared and global memory and the order of asynchronous copies.
enum class CheckLevel : u8 { off, bounds, all };

enum class FindingKind : u8 {
    out_of_bounds,
    use_after_free,
    foreign_address,  // a host pointer, or another device's
    misaligned,
    uninitialized,
    async_not_waited,   // the target of a cp.async was read or written before its wait
    grid_not_waited,    // global memory in a programmatic launch before its griddepcontrol.wait
    read_only_written,  // a store to .const, .param, or memory imported read-only; .nc of what the kernel
                        // wrote
    divergent_barrier,
    non_convergent,  // an .aligned or .sync instruction without the lanes it names
    deadlock,
    division_by_zero,
    over_limit,           // shared memory, registers or threads beyond the target's
    illegal_instruction,  // not legal on the target
    assertion,            // __assertfail
    trap,
    bad_operand,  // a shuffle from an inactive lane, a size that must not be, a barrier id above 15
};
const char* finding_name(FindingKind kind);  // "out of bounds"

struct Finding {
    FindingKind kind = FindingKind::trap;
    std::string kernel;
    int ptx_line = 0;
    std::string instruction;  // the statement's opcode and modifiers: "ld.global.v4.u32"
    std::string source;       // "file.cuh:12" when the PTX says; else empty
    u32 block[3] = {0, 0, 0};
    int warp = -1;  // in its block; -1: not one warp's
    int lane = -1;  // first lane concerned
    u32 lanes = 0;  // all of them
    u64 address = 0;
    std::string text;  // what was expected and what was got
};

// "gemm_portable_bf16_any: out of bounds at line 214 (st.global.u16), block 3,0,0 warp 2 lane 31, address
// 0x...: ..." One line; deadlocks have one line more for each warp.
std::string finding_text(const Finding& finding);

}  // namespace warpwright::emulator
