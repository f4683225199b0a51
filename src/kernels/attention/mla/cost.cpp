// SPDX-License-Identifier: Apache-2.0
// A block walks over its split's keys in steps; what a step takes depends on how many blocks share the memory
// and the tensor cores with it. The number of splits is the one that this model finds fastest.
#include <algorithm>
#include <cmath>

#include "kernels/attention/mla/operation.h"

namespace warpwright {
namespace {

// Fitted to 99 launches on H100 SXMs, 2026-11-26 (docs/kernels/attention.md): 8 % off in the geometric mean.
constexpr double kMemoryShare = 0.9;    // of the bandwidth
constexpr double kTensorShare = 0.7;    // of what mma.sync reaches: few warps wait for what they multiply
constexpr double kStepClocks = 1300;    // of a step, that another block hides: barriers, softmax
constexpr double kRecordClocks = 1500;  // of a step of records, that nothing hides: their numbers
constexpr double kCodeClocks = 900;  // the same of codes alone; modelled: half the instructions, no fit yet
constexpr double kFillUs = 5;        // of a block: lengths, pages, queries, first keys; its outputs

struct Work {
    double blocks;        // without splits
    double slots;         // blocks that the GPU holds at once
    double steps;         // of a block over all keys it sees, on average
    double memory_bytes;  // that a block reads in a step; keys that another row tile has read come from L2
    double step_flops;
    double widen_clocks;
    double merge_bytes;  // per split
};

double tensor_share(const TargetFacts& target, const AttentionCosts& costs) {
    switch (target.compute_capability / 10) {
        case 9: return costs.tensor_share_sm90;
        case 10:
        case 11: return costs.tensor_share_sm100;
        default: return costs.tensor_share;
    }
}

Work work_of(const MlaRow& row, const TargetFacts& target, const MlaProblem& problem,
             const CostConstants& costs) {
    const i64 by_shared = blocks_by_shared(target, row.shared_bytes);
    // why: the mean of ragged queries, not the longest, is what the work is made of.
    const double q_len =
        static_cast<double>(total_q_tokens(problem)) / static_cast<double>(problem.sequences);
    const double tiles = std::max(1.0, q_len * static_cast<double>(problem.heads) / row.tile_rows);
    const auto kv_len = static_cast<double>(problem.max_kv_len);
    const double hidden = problem.causal && q_len > 1 ? std::min(q_len, kv_len) / 2 : 0;
    Work work;
    work.blocks = std::ceil(tiles) * static_cast<double>(problem.sequences);
    work.slots =
        target.num_sms * static_cast<double>(std::max<i64>(1, std::min<i64>(by_shared, row.min_blocks)));
    work.steps = std::max(1.0, std::ceil((kv_len - hidden) / row.kv_tile));
    const double fresh = 1 / std::ceil(tiles);
    work.memory_bytes = latent_bytes(row) * row.kv_tile * (fresh + (1 - fresh) / costs.attention.l2_factor);
    work.step_flops = 2.0 * row.tile_rows * row.kv_tile * (kMlaKeyDim + kMlaValueDim);
    work.widen_clocks = !reads_codes(row) ? 0 : row.one_scale ? kCodeClocks : kRecordClocks;
    work.merge_bytes = 2.0 * 4 * total_q_tokens(problem) * problem.heads * kMlaValueDim;
    return work;
}

struct StepTime {
    double us;
    const char* bound;
};

// A step of a block while `running` blocks share the GPU.
StepTime step_time(const TargetFacts& target, const Work& work, double running, const CostConstants& costs) {
    const double per_sm = std::max(1.0, running / target.num_sms);
    const double memory = work.memory_bytes * running / (target.memory_gb_s * kMemoryShare * 1e3);
    const double sm_tflops = target.bf16_tflops * tensor_share(target, costs.attention) / target.num_sms;
    const double products =
        work.step_flops / (sm_tflops * kTensorShare * 1e6) + work.widen_clocks / target.boost_mhz;
    const double tensor = per_sm * products, alone = kStepClocks / target.boost_mhz + products;
    const double us = together_us({memory, tensor, alone});
    if (tensor >= memory && tensor >= alone) return {us, "tensor cores"};
    return {us, memory >= alone ? "memory" : "latency"};
}

Prediction time_with(const TargetFacts& target, const Work& work, i64 splits, const CostConstants& costs) {
    const double parts = static_cast<double>(splits), blocks = work.blocks * parts;
    const double steps = std::ceil(work.steps / parts);
    const StepTime full = step_time(target, work, std::min(blocks, work.slots), costs);
    // Full waves, then what is left, which has the GPU to itself.
    const double full_waves = std::floor(blocks / work.slots);
    double us = full_waves * (kFillUs + steps * full.us);
    if (const double rest = blocks - full_waves * work.slots; rest > 0)
        us += kFillUs + steps * step_time(target, work, rest, costs).us;
    if (splits > 1) {
        us += costs.attention.merge_us +
              parts * std::max(costs.attention.merge_part_us, work.merge_bytes / (target.memory_gb_s * 1e3));
    }
    return {start_up_us(target, costs) + us, full.bound};
}

}  // namespace

i64 MlaOp::num_splits(const Row& row, const TargetFacts& target, const Problem& problem,
                      const CostConstants& costs) {
    if (row.arch == ArchClass::host) return 1;
    const Work work = work_of(row, target, problem, costs);
    const i64 most = std::min<i64>(problem.max_splits, static_cast<i64>(work.steps));
    i64 best = 1;
    double best_us = time_with(target, work, 1, costs).us;
    for (i64 splits = 2; splits <= most; ++splits) {
        const double us = time_with(target, work, splits, costs).us;
        if (us < best_us * costs.attention.split_gain) best = splits, best_us = us;
    }
    return best;
}

Prediction MlaOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                          const CostConstants& costs) {
    if (row.arch == ArchClass::host) {
        const double rows = static_cast<double>(total_q_tokens(problem)) * static_cast<double>(problem.heads);
        const double flops = 2 * rows * static_cast<double>(problem.max_kv_len) * (kMlaKeyDim + kMlaValueDim);
        const double bytes =
            static_cast<double>(problem.sequences * problem.max_kv_len) * latent_bytes(problem);
        return roofline(target, costs, bytes, flops, fp32_tflops(target, costs),
                        costs.host.attention_memory_share, costs.host.attention_compute_share);
    }
    return time_with(target, work_of(row, target, problem, costs), num_splits(row, target, problem, costs),
                     costs);
}

}  // namespace warpwright
