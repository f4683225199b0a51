// SPDX-License-Identifier: Apache-2.0
// Every number of the cost model that is not a fact of a GPU. Plain data, so that tools/fit_cost.py can ask
// for predictions with other values; the library itself predicts with kCosts.
//
// Shares are of a target's nominal peak. docs/cost_model.md lists those that tools/fit_cost.py fits to
// measured times and how far predictions are from them; the others are modelled.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct CommonCosts {
    double start_us = 2.2;       // a kernel inside a captured graph: launch, first loads, drain
    double host_start_us = 1.0;  // the CPU's pool wakes

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("start_us", self.start_us);
        v("host_start_us", self.host_start_us);
    }
};

struct GemmCosts {
    // How much of the dense rate mma.sync reaches: Hopper and datacenter Blackwell have faster instructions
    // of their own, and their old path is narrower.
    double mma_share = 0.91;
    double mma_share_sm90 = 0.572;
    double mma_share_sm100 = 0.304;
    // Fragments come from shared memory, mostly but not wholly hidden: this part of the time it takes is not.
    double fragment_exposed = 0.282;
    double bandwidth_tensor_share = 0.7;  // bandwidth rows: products wait for loads
    double unaligned_tensor_share = 0.25;

    double latency_us = 1.22;           // of a memory access under load
    double l2_bytes_per_clock = 42.2;   // an SM's share of L2's bandwidth when all ask at once
    double l2_over_memory = 1.5;        // L2's bandwidth is at least this many times the memory's
    double stream_share = 0.956;        // of the memory bandwidth, by long streams of B
    double ring_share = 0.848;          // the same for tiles through shared memory, with barriers between
    double first_block_us = 1.87;       // until the first products
    double next_block_us = 1.88;        // from a block's last products to its successor's first, on its own
    double next_block_overlap = 0.238;  // of that, where another block of the SM goes on meanwhile

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("mma_share", self.mma_share);
        v("mma_share_sm90", self.mma_share_sm90);
        v("mma_share_sm100", self.mma_share_sm100);
        v("fragment_exposed", self.fragment_exposed);
        v("bandwidth_tensor_share", self.bandwidth_tensor_share);
        v("unaligned_tensor_share", self.unaligned_tensor_share);
        v("latency_us", self.latency_us);
        v("l2_bytes_per_clock", self.l2_bytes_per_clock);
        v("l2_over_memory", self.l2_over_memory);
        v("stream_share", self.stream_share);
        v("ring_share", self.ring_share);
        v("first_block_us", self.first_block_us);
        v("next_block_us", self.next_block_us);
        v("next_block_overlap", self.next_block_overlap);
    }
};

struct AttentionCosts {
    // How much of the dense rate mma.sync reaches; see GemmCosts.
    double tensor_share = 0.9;
    double tensor_share_sm90 = 0.584;
    double tensor_share_sm100 = 0.30;
    // What eight warps of an SM do not hide behind products: shares of reading shared memory and of the
    // exponentials, and clocks of an SM for the rest of a warp's step.
    double shared_exposed = 0.357;
    double exponential_exposed = 0.317;
    double step_clocks = 35.6;

    double decode_memory_share = 0.92;  // of the bandwidth, measured: warps wait for their own copies
    double memory_share = 0.75;         // with a barrier a step, copies stop while the slowest warp works
    double l2_factor = 3;               // how much faster L2 serves keys that another row tile has read
    double padding_cost = 0.5;          // of a row that is all padding: copies and products of zeros
    double softcap_columns = 32;        // what a softcap adds to a step, in columns of head_dim
    double elementwise_factor = 8;      // single elements: eight times the requests of 16-byte vectors
    double memory_latency_us = 0.9;     // a copy under load; hidden by the stages beyond the first
    double decode_step_us = 0.75;       // one warp's 16 keys at head size 128, copies to products, measured
    double decode_fill_us = 1.92;       // lengths, page numbers, first keys: three loads one after another
    double tile_fill_us = 7.87;         // a tile's queries and first keys, and at its end the output
    double merge_us = 1.7;              // one more kernel in the stream, most of whose start is hidden
    double merge_part_us = 0.04;        // a split more: its results, and blocks that end at different times
    double merge_batch_us = 0.6;        // a merge's loads of some splits' results, one batch after another
    double split_gain = 0.985;          // more splits must be at least this much faster

    // Clusters: measured on an H100 SXM, 2026-11-26 (docs/kernels/attention.md).
    double cluster_fill_us = 1.7;        // of a block: lengths beside page numbers, first keys
    double cluster_step_us = 0.53;       // 64 keys at head size 128 by four warps: a warp's arithmetic
    double cluster_merge_us = 1.1;       // sums to their owners, and two barriers
    double cluster_memory_share = 0.85;  // clusters crowd in parts of the GPU

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tensor_share", self.tensor_share);
        v("tensor_share_sm90", self.tensor_share_sm90);
        v("tensor_share_sm100", self.tensor_share_sm100);
        v("shared_exposed", self.shared_exposed);
        v("exponential_exposed", self.exponential_exposed);
        v("step_clocks", self.step_clocks);
        v("decode_memory_share", self.decode_memory_share);
        v("memory_share", self.memory_share);
        v("l2_factor", self.l2_factor);
        v("padding_cost", self.padding_cost);
        v("softcap_columns", self.softcap_columns);
        v("elementwise_factor", self.elementwise_factor);
        v("memory_latency_us", self.memory_latency_us);
        v("decode_step_us", self.decode_step_us);
        v("decode_fill_us", self.decode_fill_us);
        v("tile_fill_us", self.tile_fill_us);
        v("merge_us", self.merge_us);
        v("merge_part_us", self.merge_part_us);
        v("merge_batch_us", self.merge_batch_us);
        v("split_gain", self.split_gain);
        v("cluster_fill_us", self.cluster_fill_us);
        v("cluster_step_us", self.cluster_step_us);
        v("cluster_merge_us", self.cluster_merge_us);
        v("cluster_memory_share", self.cluster_memory_share);
    }
};

// Operations that read and write tensors once: norm, activation, rotation, embedding, cache append, merge.
struct StreamCosts {
    double memory_share = 0.905;
    double scattered_share = 0.8;    // whole rows at places of their own
    double elementwise_share = 0.4;  // single elements: eight times the requests of 16-byte vectors
    double compute_share = 0.5;      // of the ordinary cores' fp32 rate
    double activation_flops = 25;    // an exponential or error function with its division
    double angle_flops = 40;         // sine and cosine
    double norm_us = 0.0672;         // the sum over a token: a barrier, and the token once more
    double norm_thread_us = 0.0005;  // threads without work in a wide row
    double norm_load_us = 0.02;      // element-wise: every element of a thread is waited for
    double norm_block_us = 1.2;      // a block of short rows: load, sum, store, one after another

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("memory_share", self.memory_share);
        v("scattered_share", self.scattered_share);
        v("elementwise_share", self.elementwise_share);
        v("compute_share", self.compute_share);
        v("activation_flops", self.activation_flops);
        v("angle_flops", self.angle_flops);
        v("norm_us", self.norm_us);
        v("norm_thread_us", self.norm_thread_us);
        v("norm_load_us", self.norm_load_us);
        v("norm_block_us", self.norm_block_us);
    }
};

// A row of logits is one block: a small batch is bound by what one SM reads from L2 and computes.
struct SampleCosts {
    double passes = 3;  // over a row, for the common filters
    double bytes_per_clock = 60;
    double elementwise_bytes_per_clock = 20;
    double flops_per_element = 68;
    double row_us = 4;  // selection, draw
    double memory_share = 0.8;

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("passes", self.passes);
        v("bytes_per_clock", self.bytes_per_clock);
        v("elementwise_bytes_per_clock", self.elementwise_bytes_per_clock);
        v("flops_per_element", self.flops_per_element);
        v("row_us", self.row_us);
        v("memory_share", self.memory_share);
    }
};

// Reference kernels: the best published ones, with instructions that we have no rows of (wgmma, tcgen05) or
// with better use of ours. Modelled by the formulas of our rows at these shares of the tensor cores' peak;
// only the comparison with published times (docs/cost_model.md) asks for them, no choice and no plan does.
struct ReferenceCosts {
    double gemm_share = 0.925;  // 8.x and 12.x: mma.sync is all there is
    double gemm_share_sm90 = 0.878;
    double gemm_share_sm100 = 0.893;
    double attention_share = 0.769;
    double attention_share_sm90 = 0.717;
    double attention_share_sm100 = 0.634;

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("gemm_share", self.gemm_share);
        v("gemm_share_sm90", self.gemm_share_sm90);
        v("gemm_share_sm100", self.gemm_share_sm100);
        v("attention_share", self.attention_share);
        v("attention_share_sm90", self.attention_share_sm90);
        v("attention_share_sm100", self.attention_share_sm100);
    }
};

// A CPU core's rows.
struct HostCosts {
    double fma_per_clock = 16;
    double gemm_memory_share = 0.7;
    double gemm_compute_share = 0.5;  // widening costs as much as half a product each
    double attention_memory_share = 0.6;
    double attention_compute_share = 0.25;
    double sample_memory_share = 0.5;
    double sample_compute_share = 0.1;
    double sample_flops_per_element = 100;

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("fma_per_clock", self.fma_per_clock);
        v("gemm_memory_share", self.gemm_memory_share);
        v("gemm_compute_share", self.gemm_compute_share);
        v("attention_memory_share", self.attention_memory_share);
        v("attention_compute_share", self.attention_compute_share);
        v("sample_memory_share", self.sample_memory_share);
        v("sample_compute_share", self.sample_compute_share);
        v("sample_flops_per_element", self.sample_flops_per_element);
    }
};

struct CostConstants {
    CommonCosts common;
    GemmCosts gemm;
    AttentionCosts attention;
    StreamCosts stream;
    SampleCosts sample;
    ReferenceCosts reference;
    HostCosts host;

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("common", self.common);
        v("gemm", self.gemm);
        v("attention", self.attention);
        v("stream", self.stream);
        v("sample", self.sample);
        v("reference", self.reference);
        v("host", self.host);
    }
};

inline constexpr CostConstants kCosts;

// The constants that predict a reference kernel: its shares, operands read by the instruction itself, and
// copies so far ahead, and shared by so many blocks, that only the memory's bandwidth can bind them; softmax
// is in the shares.
constexpr CostConstants with_native_instructions(CostConstants costs) {
    costs.gemm.mma_share = costs.reference.gemm_share;
    costs.gemm.mma_share_sm90 = costs.reference.gemm_share_sm90;
    costs.gemm.mma_share_sm100 = costs.reference.gemm_share_sm100;
    costs.gemm.fragment_exposed = 0;
    costs.gemm.latency_us = costs.attention.memory_latency_us = 0;
    costs.attention.shared_exposed = costs.attention.exponential_exposed = costs.attention.step_clocks = 0;
    costs.gemm.l2_bytes_per_clock = 1e6;
    costs.attention.tensor_share = costs.reference.attention_share;
    costs.attention.tensor_share_sm90 = costs.reference.attention_share_sm90;
    costs.attention.tensor_share_sm100 = costs.reference.attention_share_sm100;
    return costs;
}

}  // namespace warpwright
