// SPDX-License-Identifier: Apache-2.0
// The Target of a GPU that is in the machine: the listed one it is, with the driver's figures on top.
#pragma once

#include <span>
#include <string>

#include "device/cuda_api.h"
#include "warpwright/target.h"

namespace warpwright {

// What the driver says of a GPU.
struct CudaAttributes {
    std::string name;  // "NVIDIA H100 80GB HBM3"
    int compute_capability = 0;
    int num_sms = 0;
    int clock_khz = 0;
    int memory_clock_khz = 0;
    int memory_bus_bits = 0;
    int l2_bytes = 0;
    int max_threads_per_sm = 0;
    int shared_per_sm_bytes = 0;
    int shared_per_block_bytes = 0;  // opt-in
    i64 memory_bytes = 0;
};

Result<CudaAttributes> read_cuda_attributes(const CudaApi& api, CuDevice device);

// The listed target that has this name, compute capability, number of SMs and memory size; null when none
// has.
const Target* match_target(const CudaAttributes& gpu, std::span<const Target> listed);

// The matching listed target with the driver's figures, or for an unlisted GPU one made from attributes: peak
// rates from its compute capability, id from its name ("NVIDIA RTX A4000" -> "rtx-a4000").
Target make_cuda_target(const CudaAttributes& gpu, std::span<const Target> listed);

}  // namespace warpwright
