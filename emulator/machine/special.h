// SPDX-License-Identifier: Apache-2.0
// Special registers, PTX ISA chapter 10. What depends on the target or on the launch is what the launch says;
// %clock and %globaltimer count executed warp instructions, so that a run can be repeated exactly.
#pragma once

#include <string_view>

#include "emulator/machine/warp.h"

namespace warpwright::emulator {

enum class SpecialId : u8 {
    tid_x,
    tid_y,
    tid_z,
    ntid_x,
    ntid_y,
    ntid_z,
    ctaid_x,
    ctaid_y,
    ctaid_z,
    nctaid_x,
    nctaid_y,
    nctaid_z,
    laneid,
    warpid,
    nwarpid,
    lanemask_eq,
    lanemask_le,
    lanemask_lt,
    lanemask_ge,
    lanemask_gt,
    smid,
    nsmid,
    gridid,
    clock,
    clock_hi,
    clock64,
    globaltimer,
    globaltimer_lo,
    globaltimer_hi,
    dynamic_smem_size,
    total_smem_size,
    aggr_smem_size,
    warp_size,  // WARP_SZ
    clusterid_x,
    clusterid_y,
    clusterid_z,
    nclusterid_x,
    nclusterid_y,
    nclusterid_z,
    cluster_ctaid_x,
    cluster_ctaid_y,
    cluster_ctaid_z,
    cluster_nctaid_x,
    cluster_nctaid_y,
    cluster_nctaid_z,
    cluster_ctarank,
    cluster_nctarank,
    is_explicit_cluster,
    zero,  // %envreg and what else is always 0
};

// False for a name that is none of those that are covered: "%tid.x", "WARP_SZ". A name without its component
// ("%tid") is one of the x component, as old PTX has it.
bool special_register(std::string_view name, SpecialId& id);

// Bits of the register: 32 or 64 (%gridid, %clock64, %globaltimer). A move of the other width cuts or
// extends.
int special_bits(SpecialId id);

// The value for each of the 32 lanes. `instruction` is the one that reads it.
void read_special(Warp& warp, const Instruction& instruction, SpecialId id, u64 out[32]);
// The low 32 bits.
void read_special(Warp& warp, const Instruction& instruction, SpecialId id, u32 out[32]);

}  // namespace warpwright::emulator
