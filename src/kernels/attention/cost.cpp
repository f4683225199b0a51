// SPDX-License-Identifier: Apache-2.0
// A block walks over its split's keys in steps; what a step takes depends on how many blocks share the memory
// and the tensor cores with it. The number of splits is the one that this model finds fastest.
#include <algorithm>
#include <cmath>

#include "kernels/attention/operation.h"

namespace warpwright {
namespace {

// Of codes of four bits a pair in pairs of 8 bits: by count of instructions where all warps read a step's
// numbers; where a warp makes its own, what explains its measured steps, about 1200 clocks (H100 SXM,
// 2026-11-27).
constexpr double kPackedPairs = 1.5, kPackedPairsOfAWarp = 2.2;

struct Work {
    double blocks;        // without splits
    double slots;         // blocks that the GPU holds at once
    double steps;         // of a block over all keys it sees, on average
    double step_bytes;    // read by a block
    double memory_bytes;  // of them not from L2
    double padding;       // share of a padded row
    double step_flops;
    double warps;         // of a block that have rows, or keys
    double shared_bytes;  // that a step reads from shared memory, and writes to it
    double exponentials;  // of a step
    double conversions;   // of codes to pairs of numbers
    double merge_bytes;   // per split
};

double tensor_share(const TargetFacts& target, const AttentionCosts& costs) {
    switch (target.compute_capability / 10) {
        case 9: return costs.tensor_share_sm90;
        case 10:
        case 11: return costs.tensor_share_sm100;
        default: return costs.tensor_share;
    }
}

double blocks_per_sm(const AttentionRow& row, const TargetFacts& target) {
    const i64 by_shared = blocks_by_shared(target, row.shared_bytes);
    // What the images use or are bounded to.
    const i64 registers = row.head_dim <= 64 && row.min_blocks == 1 ? 128 : 255;
    const i64 by_registers = 65536 / (registers * num_threads(row));
    return static_cast<double>(
        std::max<i64>(1, std::min(by_shared, std::max<i64>(by_registers, row.min_blocks))));
}

bool has_first(const AttentionProblem& problem) {
    return problem.window_left >= 0 || problem.chunk > 0;
}

// The mean of min(x, most) for x that is evenly spread from `from` to `to`.
double mean_min(double from, double to, double most) {
    if (most >= to) return (from + to) / 2;
    if (most <= from) return most;
    return ((most - from) * (from + most) / 2 + (to - most) * most) / (to - from);
}

// Of keys that queries see otherwise, those of their lists.
double keys_of_lists(const AttentionProblem& problem, double keys) {
    if (problem.block_queries == 0 || problem.listed_keys == 0) return keys;
    return std::min(keys, static_cast<double>(problem.listed_keys));
}

// Keys that `queries` neighbouring queries see between them, on average over a sequence's queries, were all
// listed.
double keys_seen(const AttentionProblem& problem, double q_len, double queries) {
    const auto kv_len = static_cast<double>(problem.max_kv_len);
    const double before =
        q_len > 1 ? std::min(q_len, kv_len) : 0;  // keys that the last one sees, the first not
    if (!has_first(problem)) return problem.causal ? kv_len - before / 2 : kv_len;
    // Of a chunk a query sees half, on average.
    double window = problem.window_left < 0 ? kv_len : static_cast<double>(problem.window_left);
    if (problem.chunk > 0) window = std::min(window, static_cast<double>(problem.chunk) / 2);
    window += queries;
    if (problem.causal) return mean_min(kv_len - before, kv_len, window);
    return mean_min(window, window + before, kv_len);
}

Work work_of(const AttentionRow& row, const TargetFacts& target, const AttentionProblem& problem,
             const AttentionCosts& costs) {
    const i64 group = problem.heads / problem.kv_heads;
    // why: the mean of ragged queries, not the longest, is what the work is made of.
    const double q_len = static_cast<double>(total_q_tokens(problem)) / problem.sequences;
    const double tiles = std::max(1.0, q_len * group / row.tile_rows);
    const double tile_queries =
        std::max(1.0, std::min(q_len, double(row.tile_rows) / static_cast<double>(group)));
    const double all_keys = std::max(1.0, keys_seen(problem, q_len, tile_queries));
    // Lists of a tile follow each other.
    const double lists =
        problem.block_queries > 0 ? std::max(1.0, tile_queries / double(problem.block_queries)) : 1;
    const double keys = lists * keys_of_lists(problem, all_keys);
    // Of the keys that tiles read, the share that no other tile has read before.
    double fresh = std::min(1.0, all_keys / keys / tiles);
    if (has_first(problem)) fresh = std::min(1.0, keys_seen(problem, q_len, q_len) / (tiles * keys));
    const double tile_rows =
        std::min<double>(row.tile_rows, round_up(problem.max_q_len * group, row.warp_rows));

    Work work;
    work.blocks = tiles * problem.sequences * problem.kv_heads;
    work.slots = target.num_sms * blocks_per_sm(row, target);
    const i64 step_keys =
        problem.block_queries > 0 ? std::clamp<i64>(problem.block_keys, 1, row.kv_tile) : row.kv_tile;
    work.steps = std::ceil(keys / static_cast<double>(step_keys));
    const double columns =
        static_cast<double>(problem.head_dim + value_dim(problem));  // of a key and its value
    const double row_columns = row.head_dim + value_dim(row);
    work.step_bytes = row.kv_tile * columns * kv_bytes(problem.kv_format, problem.dtype);
    work.memory_bytes = work.step_bytes * (fresh + (1 - fresh) / costs.l2_factor);
    work.padding = (row_columns - columns) / row_columns;
    work.step_flops = 2.0 * tile_rows * row.kv_tile * row_columns;
    work.warps = tile_rows / row.warp_rows * row.kv_warps;
    // Every warp reads the keys that it attends to, and its queries where they are not in registers.
    const double element_bytes = dtype_bytes(problem.dtype);
    const double keys_bytes = row.kv_tile * row_columns * element_bytes;
    work.shared_bytes = keys_bytes * (1 + work.warps / row.kv_warps);
    if (row.q_in_shared) work.shared_bytes += work.warps * row.warp_rows * row.head_dim * element_bytes;
    work.exponentials = tile_rows * row.kv_tile;
    const double pairs = !is_packed(row) ? 1 : reads_codes(row) ? kPackedPairsOfAWarp : kPackedPairs;
    work.conversions = is_coded(row) ? pairs * row.kv_tile * row.head_dim : 0;
    if (problem.softcap > 0) work.step_flops *= 1 + costs.softcap_columns / row.head_dim;
    work.merge_bytes = 4.0 * total_q_tokens(problem) * problem.heads * value_dim(problem) * 2;
    return work;
}

struct StepTime {
    double us;
    const char* bound;
};

double memory_share(const AttentionRow& row, const AttentionCosts& costs) {
    if (row.clusters) return costs.cluster_memory_share;
    return row.kv_warps > 1 ? costs.decode_memory_share : costs.memory_share;
}

// A step's arithmetic on an SM that has `blocks` blocks: the products, and what they do not hide of reading
// shared memory, exponentials and the rest of a warp's step. Fewer warps hide less.
double tensor_us(const TargetFacts& target, const Work& work, double blocks, const AttentionCosts& costs) {
    constexpr double kSharedBytes = 128, kExponentials = 16;  // of an SM in a clock
    constexpr double kConversions = 128 / 4.5;                // with as many instructions a pair
    constexpr double kWarps = 8;                              // of an SM, that the exposed shares are for
    const double sm_tflops = target.bf16_tflops * tensor_share(target, costs) / target.num_sms;
    const double exposed_clocks = work.shared_bytes / kSharedBytes * costs.shared_exposed +
                                  work.exponentials / kExponentials * costs.exponential_exposed +
                                  work.conversions / kConversions + work.warps * costs.step_clocks;
    const double few = std::max(1.0, kWarps / (work.warps * blocks));
    return blocks * (work.step_flops / (sm_tflops * 1e6) + exposed_clocks * few / target.boost_mhz);
}

// A step of a block while `running` blocks share the GPU.
StepTime step_time(const AttentionRow& row, const TargetFacts& target, const Work& work, double running,
                   bool in_cluster, const AttentionCosts& costs) {
    const double per_sm = std::max(1.0, running / target.num_sms);
    const double memory = work.memory_bytes * running / (target.memory_gb_s * memory_share(row, costs) * 1e3);
    const double tensor = tensor_us(target, work, per_sm, costs);
    // A single stage is waited for twice, for K and for V.
    const double tile_latency = costs.memory_latency_us * (row.stages == 1 ? 2 : 1.0 / (row.stages - 1));
    const double depth = 0.4 + 0.6 * row.head_dim / 128;
    const double latency = in_cluster && per_sm == 1
                               ? costs.cluster_step_us * depth * (row.stages > 2 ? 1 : 1.25)
                           : row.kv_warps > 1 ? costs.decode_step_us * depth
                                              : tile_latency;
    const double factor = row.elementwise ? costs.elementwise_factor : 1;
    const double waiting = together_us({memory, latency});
    if (tensor >= waiting) return {tensor * factor, "tensor cores"};
    return {waiting * factor, memory >= latency ? "memory" : "latency"};
}

Prediction time_with(const AttentionRow& row, const TargetFacts& target, const Work& work, i64 splits,
                     const CostConstants& all_costs) {
    const AttentionCosts& costs = all_costs.attention;
    const double parts = static_cast<double>(splits), blocks = work.blocks * parts;
    const double steps = std::ceil(work.steps / parts);
    // Only whole clusters run. A block that is alone is no faster than another decode row's, measured, nor
    // are two that share an SM.
    const bool in_cluster = row.clusters && splits > 1;
    const double slots = row.clusters ? std::max(1.0, std::floor(work.slots / parts)) * parts : work.slots;
    const StepTime full = step_time(row, target, work, std::min(blocks, slots), in_cluster, costs);
    // Full waves, then what is left, which has the GPU to itself.
    const double full_waves = std::floor(blocks / slots);
    const bool decodes = row.kv_warps > 1;
    const double fill_us = row.clusters ? costs.cluster_fill_us
                           : decodes    ? costs.decode_fill_us
                                        : costs.tile_fill_us;
    double us = full_waves * ((decodes ? 0.5 : 1) * fill_us + steps * full.us);
    if (const double rest = blocks - full_waves * slots; rest > 0) {
        us += fill_us + steps * step_time(row, target, work, rest, in_cluster, costs).us;
    }
    if (row.clusters) {
        us += costs.cluster_merge_us;
    } else if (splits > 1) {
        us += costs.merge_us +
              parts * std::max(costs.merge_part_us, work.merge_bytes / (target.memory_gb_s * 1e3));
    }
    return {start_up_us(target, all_costs) + us * (1 + costs.padding_cost * work.padding), full.bound};
}

}  // namespace

i64 AttentionOp::num_splits(const Row& row, const TargetFacts& target, const Problem& problem,
                            const CostConstants& costs) {
    if (row.arch == ArchClass::host) return 1;
    const Work work = work_of(row, target, problem, costs.attention);
    const i64 allowed =
        row.clusters ? std::min<i64>(problem.max_cluster, max_cluster_blocks(target.compute_capability))
                     : problem.max_splits;
    const i64 most = std::min<i64>(allowed, static_cast<i64>(work.steps));
    i64 best = 1;
    double best_us = time_with(row, target, work, 1, costs).us;
    for (i64 splits = 2; splits <= most; row.clusters ? splits *= 2 : ++splits) {
        const double us = time_with(row, target, work, splits, costs).us;
        if (us < best_us * costs.attention.split_gain) best = splits, best_us = us;
    }
    return best;
}

Prediction AttentionOp::predict(const Row& row, const TargetFacts& target, const Problem& problem,
                                const CostConstants& costs) {
    if (row.arch == ArchClass::host) {
        const double tokens = static_cast<double>(total_q_tokens(problem));
        const double q_len = tokens / problem.sequences;
        const double keys = keys_of_lists(problem, keys_seen(problem, q_len, 1));
        const double columns = static_cast<double>(problem.head_dim + value_dim(problem));
        const double flops = 2 * tokens * problem.heads * keys * columns;
        const double read =
            has_first(problem) ? keys_seen(problem, q_len, q_len) : double(problem.max_kv_len);
        const double bytes = 1.0 * problem.sequences * problem.kv_heads * read * columns *
                             kv_bytes(problem.kv_format, problem.dtype);
        return roofline(target, costs, bytes, flops, fp32_tflops(target, costs),
                        costs.host.attention_memory_share, costs.host.attention_compute_share);
    }
    return time_with(row, target, work_of(row, target, problem, costs.attention),
                     num_splits(row, target, problem, costs), costs);
}

}  // namespace warpwright
