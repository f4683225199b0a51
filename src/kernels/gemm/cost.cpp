// SPDX-License-Identifier: Apache-2.0
// gemm's cost: the slowest of tensor cores, memory, L2, and what one SM can have under way. Every share is
// modelled until a tuning table of the target says otherwise.
#include <algorithm>

#include "kernels/gemm/operation.h"

namespace warpwright {
namespace {

// How much of the target's dense rate mma.sync reaches: Hopper and datacenter Blackwell have faster
// instructions of their own, and their old path is narrower.
double mma_share(const TargetFacts& target) {
    switch (target.build_target) {
        case BuildTarget::sm_90a: return 0.62;
        case BuildTarget::sm_100f: return 0.30;
        default: return 0.90;
    }
}

constexpr double kLatencyUs = 0.8;       // of a memory access under load
constexpr double kL2BytesPerClock = 24;  // an SM's share of L2's bandwidth when all ask at once
constexpr double kL2OverMemory = 1.5;    // at least
constexpr double kStreamShare = 0.88;    // of the memory bandwidth that long streams into registers reach
constexpr double kRingShare = 0.75;      // the same for tiles through shared memory, with barriers between
constexpr double kFirstBlockUs = 1.0;    // until the first products
constexpr double kNextBlockUs = 1.0;  // from one block's last products to its successor's first, on its own
constexpr double kOverlappedShare = 0.2;  // of that, where another block of the SM goes on meanwhile
constexpr double kSharedBytesPerFma = 128.0 / 1024;  // shared memory's bytes a clock beside the products'

// Of the tensor cores' rate, for a warp tile: fragments come from shared memory at
// 2 (warp_m + warp_n) bytes per warp_m x warp_n FMAs, mostly but not wholly hidden.
double fragment_share(const GemmRow& row) {
    const double bytes_per_fma = 2.0 / row.warp_m + 2.0 / row.warp_n;
    return 1 / (1 + 0.25 * bytes_per_fma / kSharedBytesPerFma);
}

int blocks_at_once(const GemmRow& row, const TargetFacts& target) {
    constexpr i64 kReservedBytes = 1024;  // of shared memory, per block
    const i64 by_shared = target.shared_per_sm_bytes / (row.shared_bytes + kReservedBytes);
    const i64 by_threads = target.max_threads_per_sm / num_threads(row);
    return static_cast<int>(std::max<i64>(1, std::min<i64>({row.blocks_per_sm, by_shared, by_threads})));
}

double bytes_moved(const GemmProblem& p) {
    const double element = dtype_bytes(p.dtype), out = dtype_bytes(p.out);
    const double outputs = static_cast<double>(p.m) * p.n;
    return (static_cast<double>(p.m) + p.n) * p.k * element + (p.bias ? p.n * element : 0) +
           outputs * ((p.gate ? element : 0) + (p.residual ? out : 0) + out);
}

// Bytes of operands that a block has requested and not yet received.
double bytes_under_way(const GemmRow& row, const GemmProblem& problem) {
    if (is_bandwidth(row)) {
        return 2.0 * row.tile_k * (row.tile_n + static_cast<double>(problem.m)) * (row.stages - 0.5) *
               row.warps_k;
    }
    const double tile = 2.0 * row.tile_k * (row.tile_m + row.tile_n);
    return row.aligned ? tile * (row.stages - 1) : tile / 8;
}

}  // namespace

Prediction GemmOp::predict(const Row& row, const TargetFacts& target, const Problem& problem) {
    const double flops = 2.0 * problem.m * problem.n * problem.k;
    if (row.arch == ArchClass::host) {
        // Widening costs as much as half a product each.
        return roofline(target, bytes_moved(problem), flops, fp32_tflops(target), 0.7, 0.5);
    }
    const i64 blocks_m = is_bandwidth(row) ? 1 : ceil_div(problem.m, row.tile_m);
    const double blocks = static_cast<double>(blocks_m) * ceil_div(problem.n, row.tile_n);
    // The busiest SM: blocks are dealt out evenly, several at once where they fit.
    const double per_sm = static_cast<double>(ceil_div(static_cast<i64>(blocks), target.num_sms));
    const double at_once = std::min<double>(blocks_at_once(row, target), per_sm);
    const double padded_k = static_cast<double>(round_up(problem.k, is_bandwidth(row) ? 32 : row.tile_k));

    // Bandwidth rows use half of every product, at 4 rows of A each.
    const double block_flops = 2.0 * row.tile_m * row.tile_n * padded_k * (is_bandwidth(row) ? 4 : 1);
    const double sm_tflops = target.bf16_tflops * mma_share(target) / target.num_sms;
    const double share = is_bandwidth(row) ? 0.7 : fragment_share(row) * (row.aligned ? 1 : 0.25);
    const double tensor_us = per_sm * block_flops / (sm_tflops * share * 1e6);

    const double stream_share = is_bandwidth(row) ? kStreamShare : kRingShare;
    const double memory_us = bytes_moved(problem) / (target.memory_gb_s * stream_share * 1e3);
    const double block_bytes = 2.0 * padded_k * (row.tile_n + (is_bandwidth(row) ? problem.m : row.tile_m));
    const double l2_gb_s = std::max(target.num_sms * kL2BytesPerClock * target.boost_mhz * 1e-3,
                                    kL2OverMemory * target.memory_gb_s);
    const double l2_us = blocks * block_bytes / (l2_gb_s * 1e3);
    const double sm_us = per_sm * block_bytes / (at_once * bytes_under_way(row, problem) / kLatencyUs);

    const double later_blocks = per_sm / at_once - 1;
    const double start_us = start_up_us(target) + kFirstBlockUs +
                            kNextBlockUs * (at_once > 1 ? kOverlappedShare : 1) * later_blocks;
    const double rate_us = std::max({tensor_us, memory_us, l2_us, sm_us});
    const char* bound = rate_us < start_us     ? "latency"
                        : rate_us == tensor_us ? "tensor cores"
                        : rate_us == memory_us ? "memory"
                        : rate_us == l2_us     ? "l2"
                                               : "latency";
    return {start_us + rate_us, bound};
}

}  // namespace warpwright
