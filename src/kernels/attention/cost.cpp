// SPDX-License-Identifier: Apache-2.0
// A block walks over its split's keys in steps; what a step takes depends on how many blocks share the memory
// and the tensor cores with it. The number of splits is the one that this model finds fastest.
#include <algorithm>
#include <cmath>

#include "kernels/attention/operation.h"

namespace warpwright {
namespace {

// Shares and times, fitted to an H100 SXM (docs/results, 2026-11-25) where it has them, else modelled.
constexpr double kDecodeMemoryShare = 0.91;  // of the bandwidth, measured: warps wait for their own copies
constexpr double kMemoryShare = 0.75;     // with a barrier a step, copies stop while the slowest warp works
constexpr double kL2Factor = 3;           // how much faster L2 serves keys that another row tile has read
constexpr double kPaddingCost = 0.5;      // of a row that is all padding: copies and products of zeros
constexpr double kElementwiseFactor = 8;  // single elements: eight times the requests of 16-byte vectors
constexpr double kMemoryLatencyUs = 0.9;  // a copy under load; hidden by the stages beyond the first
constexpr double kBarrierUs = 0.6;        // a step that all warps of a block wait for
constexpr double kDecodeStepUs = 1.25;    // one warp's 16 keys at head size 128, copies to products, measured
constexpr double kBlockFillUs = 1.6;      // lengths, page numbers, first keys: three loads one after another
constexpr double kMergeUs = 2.5;          // one more kernel in the stream
constexpr double kSplitGain = 0.97;       // more splits must be at least this much faster

struct Work {
    double blocks;        // without splits
    double slots;         // blocks that the GPU holds at once
    double steps;         // of a block over all keys it sees, on average
    double step_bytes;    // read by a block
    double memory_bytes;  // of them not from L2
    double padding;       // share of a padded row
    double step_flops;
    double merge_bytes;  // per split
};

// Of the tensor cores' peak: softmax and shared memory are in the way, and on 9.0 (measured) and 10.x
// mma.sync reaches only a part of what wgmma and tcgen05 do.
double tensor_share(const TargetFacts& target) {
    const int major = target.compute_capability / 10;
    return major == 9 ? 0.3 : major == 10 || major == 11 ? 0.17 : 0.55;
}

double blocks_per_sm(const AttentionRow& row, const TargetFacts& target) {
    constexpr i64 kReservedBytes = 1024;  // of shared memory, by the system, per block
    const i64 by_shared = target.shared_per_sm_bytes / (row.shared_bytes + kReservedBytes);
    const i64 registers = row.head_dim <= 64 ? 128 : 255;  // what the images use or are bounded to
    const i64 by_registers = 65536 / (registers * num_threads(row));
    return static_cast<double>(std::max<i64>(1, std::min(by_shared, by_registers)));
}

Work work_of(const AttentionRow& row, const TargetFacts& target, const AttentionProblem& problem) {
    const i64 group = problem.heads / problem.kv_heads;
    // why: the mean of ragged queries, not the longest, is what the work is made of.
    const double q_len = static_cast<double>(total_q_tokens(problem)) / problem.sequences;
    const double tiles = std::max(1.0, q_len * group / row.tile_rows);
    const double masked = problem.causal ? std::min(q_len, double(problem.max_kv_len)) / 2 : 0;
    const double keys = std::max(1.0, problem.max_kv_len - (q_len > 1 ? masked : 0));
    const double tile_rows = std::min<double>(row.tile_rows, round_up(problem.max_q_len * group, kMmaRows));

    Work work;
    work.blocks = tiles * problem.sequences * problem.kv_heads;
    work.slots = target.num_sms * blocks_per_sm(row, target);
    work.steps = std::ceil(keys / row.kv_tile);
    work.step_bytes = 2.0 * row.kv_tile * problem.head_dim * dtype_bytes(problem.dtype);
    work.memory_bytes = work.step_bytes * (1 + (tiles - 1) / kL2Factor) / tiles;
    work.padding = static_cast<double>(row.head_dim - problem.head_dim) / row.head_dim;
    work.step_flops = 4.0 * tile_rows * row.kv_tile * row.head_dim;
    work.merge_bytes = 4.0 * total_q_tokens(problem) * problem.heads * problem.head_dim * 2;
    return work;
}

struct StepTime {
    double us;
    const char* bound;
};

double memory_share(const AttentionRow& row) {
    return row.kv_warps > 1 ? kDecodeMemoryShare : kMemoryShare;
}

// A step of a block while `running` blocks share the GPU.
StepTime step_time(const AttentionRow& row, const TargetFacts& target, const Work& work, double running) {
    const double per_sm = std::max(1.0, running / target.num_sms);
    const double memory = work.memory_bytes * running / (target.memory_gb_s * memory_share(row) * 1e3);
    const double sm_tflops = target.bf16_tflops * tensor_share(target) / target.num_sms;
    const double tensor = work.step_flops * per_sm / (sm_tflops * 1e6);
    const double latency = row.kv_warps > 1 ? kDecodeStepUs * (0.4 + 0.6 * row.head_dim / 128)
                                            : kMemoryLatencyUs / (row.stages - 1) + kBarrierUs;
    const double factor = row.elementwise ? kElementwiseFactor : 1;
    // Neither memory nor latency hides the other wholly where they are close.
    const double waiting = std::pow(std::pow(memory, 4) + std::pow(latency, 4), 0.25);
    if (tensor >= waiting) return {tensor * factor, "tensor cores"};
    return {waiting * factor, memory >= latency ? "memory" : "latency"};
}

Prediction time_with(const AttentionRow& row, const TargetFacts& target, const Work& work, i64 splits) {
    const double blocks = work.blocks * static_cast<double>(splits);
    const double steps = std::ceil(work.steps / static_cast<double>(splits));
    const StepTime full = step_time(row, target, work, std::min(blocks, work.slots));
    // Full waves, then what is left, which has the GPU to itself.
    const double full_waves = std::floor(blocks / work.slots);
    double us = full_waves * (kBlockFillUs / 2 + steps * full.us);
    if (const double rest = blocks - full_waves * work.slots; rest > 0) {
        us += kBlockFillUs + steps * step_time(row, target, work, rest).us;
    }
    if (splits > 1) {
        us += kMergeUs + static_cast<double>(splits) * work.merge_bytes / (target.memory_gb_s * 1e3);
    }
    return {start_up_us(target) + us * (1 + kPaddingCost * work.padding), full.bound};
}

}  // namespace

i64 AttentionOp::num_splits(const Row& row, const TargetFacts& target, const Problem& problem) {
    if (row.arch == ArchClass::host) return 1;
    const Work work = work_of(row, target, problem);
    const i64 most = std::min<i64>(problem.max_splits, static_cast<i64>(work.steps));
    i64 best = 1;
    double best_us = time_with(row, target, work, 1).us;
    for (i64 splits = 2; splits <= most; ++splits) {
        const double us = time_with(row, target, work, splits).us;
        if (us < best_us * kSplitGain) best = splits, best_us = us;
    }
    return best;
}

Prediction AttentionOp::predict(const Row& row, const TargetFacts& target, const Problem& problem) {
    if (row.arch == ArchClass::host) {
        const double tokens = static_cast<double>(total_q_tokens(problem));
        const double q_len = tokens / problem.sequences;
        const double masked =
            problem.causal && q_len > 1 ? std::min(q_len, double(problem.max_kv_len)) / 2 : 0;
        const double keys = problem.max_kv_len - masked;
        const double flops = 4 * tokens * problem.heads * keys * problem.head_dim;
        const double bytes = 2.0 * problem.sequences * problem.kv_heads * problem.max_kv_len *
                             problem.head_dim * dtype_bytes(problem.dtype);
        return roofline(target, bytes, flops, fp32_tflops(target), 0.6, 0.25);
    }
    return time_with(row, target, work_of(row, target, problem), num_splits(row, target, problem));
}

}  // namespace warpwright
