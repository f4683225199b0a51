// SPDX-License-Identifier: Apache-2.0
// Attention: the rows, their shared memory, and which problems they serve.
#pragma once

#include "kernels/attention/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct AttentionRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::bf16;
    int head_dim = 0;          // the largest served; smaller ones are padded with zeros in shared memory
    int tile_rows = 0;         // packed rows (query, head of the kv head's group) of a block
    int kv_tile = 0;           // keys that a block reads per step
    int kv_warps = 1;          // warps that divide the keys of a step between them, each with all the rows
    int stages = 0;            // steps in shared memory
    bool elementwise = false;  // moves single elements: no demands on alignment or on head_dim's divisors
    int warp_rows = 16;        // packed rows of a warp, which reads every fragment of K and V once for them
    int min_blocks = 1;        // that an SM must be able to hold at once: what bounds a thread's registers
    bool q_in_shared = false;  // the query is read again for every step: its registers are needed
    bool clusters = false;     // the blocks that divide the keys are a cluster: no workspace, no merge
    KvFormat kv_format = KvFormat::same;  // of keys and values: see code_pairs.cuh
    RowName spill_reason{};  // not empty: some target's image of this row may spill registers, and why
    bool biases = false;     // ALiBi and masks of bits, which others are not slowed by
    int head_dim_v = 0;      // the largest served of values; 0: head_dim
    bool lists = false;      // blocks of keys may be listed, and no others are read then
    i64 shared_bytes = 0;    // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("dtype", self.dtype);
        v("head_dim", self.head_dim);
        v("tile_rows", self.tile_rows);
        v("kv_tile", self.kv_tile);
        v("kv_warps", self.kv_warps);
        v("stages", self.stages);
        v("elementwise", self.elementwise);
        v("warp_rows", self.warp_rows);
        v("min_blocks", self.min_blocks);
        v("q_in_shared", self.q_in_shared);
        v("clusters", self.clusters);
        v("kv_format", self.kv_format);
        v("biases", self.biases);
        v("head_dim_v", self.head_dim_v);
        v("lists", self.lists);
        v("shared_bytes", self.shared_bytes);
    }
};

// Blocks of a cluster that every GPU with clusters takes (CUDA programming guide, "Thread Block Clusters");
// 0: no clusters. Larger ones would not all fit at once: of an H100 with 132 SMs some parts have fewer
// than 12.
constexpr int max_cluster_blocks(int compute_capability) {
    return compute_capability < 90 ? 0 : 8;
}

constexpr bool image_fits(const AttentionRow& row, BuildTarget target) {
    return !image_misfit(row, target) &&
           (!row.clusters || max_cluster_blocks(facts_of(target).first_capability) > 0);
}

constexpr int kMmaRows = 16;  // rows of one matrix product: the m of m16n8k16

constexpr int num_threads(const AttentionRow& row) {
    return row.tile_rows / row.warp_rows * row.kv_warps * 32;
}

constexpr int min_blocks(const AttentionRow& row) {
    return row.min_blocks;
}

constexpr bool keeps_q_in_shared(const AttentionRow& row) {
    return row.q_in_shared;
}

// Columns of values in shared memory.
constexpr int value_dim(const AttentionRow& row) {
    return row.head_dim_v > 0 ? row.head_dim_v : row.head_dim;
}
// Whether values may have other columns than keys: the number of each is an argument then.
constexpr bool has_two_sizes(const AttentionRow& row) {
    return row.head_dim_v > 0 || row.elementwise;
}

// Keys and values are codes of 8 bits in memory, and in the steps of shared memory: warps of decode rows make
// numbers of what they read, prefill rows of a step for all their warps. What is copied element by element is
// numbers from there on.
constexpr bool is_coded(const AttentionRow& row) {
    return row.kv_format != KvFormat::same;
}
constexpr bool copies_codes(const AttentionRow& row) {
    return is_coded(row) && !row.elementwise;
}
constexpr bool reads_codes(const AttentionRow& row) {
    return is_coded(row) && row.kv_warps > 1;
}

// Whether a row is for calls with lists alone: a test would cost it registers.
constexpr bool has_only_lists(const AttentionRow& row) {
    return row.lists && !row.elementwise;
}

// Codes of four bits, and scales of blocks of them.
constexpr bool is_packed(const AttentionRow& row) {
    return row.kv_format == KvFormat::nvfp4;
}

template <AttentionRow R, bool in_shared = keeps_q_in_shared(R)>
struct QueryFragments {};
template <AttentionRow R>
struct QueryFragments<R, true> {
    // A warp's rows: where warps divide the keys, a lane's registers as they are loaded ([16 columns of
    // head_dim][lane][register]), else a row after another, swizzled. Warps that read codes have one copy
    // between them.
    static constexpr int kCopies = reads_codes(R) ? 1 : num_threads(R) / 32;
    alignas(128) u32 q[kCopies][R.head_dim / 16 * (R.warp_rows / kMmaRows)][32][4];
};

// What a block gets from all blocks of its cluster: their maxima and sums, and their share of the outputs
// that are its own, as vectors of four columns.
template <AttentionRow R, bool clusters = R.clusters>
struct PeerSums {};
template <AttentionRow R>
struct PeerSums<R, true> {
    static constexpr int kMostBlocks = 8;
    struct {
        alignas(16) float max_and_sum[kMostBlocks][kMmaRows][2];
        alignas(16) float out[kMmaRows * R.head_dim + 4 * kMostBlocks];
    } received;
};

template <AttentionRow R, class Element>
struct KvStep {  // 16-byte vectors are swizzled: tile/swizzle.h
    Element k[R.kv_tile * R.head_dim];
    Element v[R.kv_tile * value_dim(R)];
};

template <AttentionRow R>
struct PackedKvStep {  // codes as those of KvStep, scales a key after another
    u8 k[R.kv_tile * R.head_dim / 2];
    u8 v[R.kv_tile * R.head_dim / 2];
    u8 k_blocks[R.kv_tile * R.head_dim / kKvBlock];
    u8 v_blocks[R.kv_tile * R.head_dim / kKvBlock];
};

// The numbers that all warps read, made of a step's codes.
template <AttentionRow R, bool widens = copies_codes(R) && !reads_codes(R)>
struct WideStep {};
template <AttentionRow R>
struct WideStep<R, true> {
    alignas(128) KvStep<R, u16> wide;
};

template <AttentionRow R, bool codes = copies_codes(R), bool packed = is_packed(R)>
struct KvSteps {
    using Step = KvStep<R, u16>;
    alignas(128) Step steps[R.stages];
};
template <AttentionRow R>
struct KvSteps<R, true, false> {
    using Step = KvStep<R, u8>;
    alignas(128) Step steps[R.stages];
};
template <AttentionRow R>
struct KvSteps<R, true, true> {
    using Step = PackedKvStep<R>;
    alignas(128) Step steps[R.stages];
};

// What masks and slopes need of a packed row, which is a division away.
struct BiasedRow {
    float slope;  // of the row's head, in units of its scores
    i32 query;    // of the sequence
};
template <AttentionRow R, bool biases = R.biases>
struct BiasedRows {};
template <AttentionRow R>
struct BiasedRows<R, true> {
    BiasedRow biased[R.tile_rows];
};

template <AttentionRow R>
struct AttentionShared : QueryFragments<R>, PeerSums<R>, WideStep<R>, KvSteps<R>, BiasedRows<R> {};

template <AttentionRow R>
consteval AttentionRow sized() {
    AttentionRow row = R;
    row.shared_bytes = sizeof(AttentionShared<R>);
    return row;
}

// 8 to 84 bytes beyond a thread's 255 registers, more on some targets than on others.
inline constexpr RowName kSpills{"255 are the most; smaller tiles measured slower"};

// clang-format off
// rows:begin
inline constexpr AttentionRow kAttentionRows[] = {
    //                name                                           class                dtype       head rows  kv warps stages elementwise; warp rows, blocks, q in shared
    sized<AttentionRow{"attention.portable.bf16.d64.r128",            ArchClass::portable, DType::bf16,  64, 128,  64, 1, 2, false, 32, 2, true}>(),
    sized<AttentionRow{"attention.portable.bf16.d96.r128",            ArchClass::portable, DType::bf16,  96, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills}>(),
    sized<AttentionRow{"attention.portable.bf16.d96.r128k48",         ArchClass::portable, DType::bf16,  96, 128,  48, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills}>(),
    sized<AttentionRow{"attention.portable.bf16.d128.r128",           ArchClass::portable, DType::bf16, 128, 128,  64, 1, 2, false, 16, 1, false}>(),
    sized<AttentionRow{"attention.portable.bf16.d128.r128w32",        ArchClass::portable, DType::bf16, 128, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills}>(),
    sized<AttentionRow{"attention.portable.bf16.d256.r128",           ArchClass::portable, DType::bf16, 256, 128,  32, 1, 3, false, 16, 1, false, false, KvFormat::same, kSpills}>(),
    sized<AttentionRow{"attention.portable.bf16.d256.r128k96",        ArchClass::portable, DType::bf16, 256, 128,  96, 1, 1, false, 16, 1, true, false, KvFormat::same, kSpills}>(),
    sized<AttentionRow{"attention.decode.bf16.d64",                   ArchClass::portable, DType::bf16,  64,  16, 128, 8, 3}>(),
    sized<AttentionRow{"attention.decode.bf16.d96",                   ArchClass::portable, DType::bf16,  96,  16,  64, 4, 4}>(),
    sized<AttentionRow{"attention.decode.bf16.d128",                  ArchClass::portable, DType::bf16, 128,  16,  64, 4, 3}>(),
    sized<AttentionRow{"attention.decode.bf16.d256",                  ArchClass::portable, DType::bf16, 256,  16,  32, 2, 2, false, 16, 1, true}>(),
    sized<AttentionRow{"attention.portable.bf16.d64.any",             ArchClass::portable, DType::bf16,  64,  64,  32, 1, 2, true, 16, 1, true}>(),
    sized<AttentionRow{"attention.portable.bf16.d128.any",            ArchClass::portable, DType::bf16, 128,  64,  32, 1, 2, true, 16, 1, true}>(),
    sized<AttentionRow{"attention.portable.bf16.d256.any",            ArchClass::portable, DType::bf16, 256,  64,  16, 1, 2, true, 16, 1, true}>(),
    sized<AttentionRow{"attention.portable.f16.d64.r128",             ArchClass::portable, DType::f16,   64, 128,  64, 1, 2, false, 32, 2, true}>(),
    sized<AttentionRow{"attention.portable.f16.d96.r128",             ArchClass::portable, DType::f16,   96, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills}>(),
    sized<AttentionRow{"attention.portable.f16.d96.r128k48",          ArchClass::portable, DType::f16,   96, 128,  48, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills}>(),
    sized<AttentionRow{"attention.portable.f16.d128.r128",            ArchClass::portable, DType::f16,  128, 128,  64, 1, 2, false, 16, 1, false}>(),
    sized<AttentionRow{"attention.portable.f16.d128.r128w32",         ArchClass::portable, DType::f16,  128, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills}>(),
    sized<AttentionRow{"attention.portable.f16.d256.r128",            ArchClass::portable, DType::f16,  256, 128,  32, 1, 3, false, 16, 1, false, false, KvFormat::same, kSpills}>(),
    sized<AttentionRow{"attention.portable.f16.d256.r128k96",         ArchClass::portable, DType::f16,  256, 128,  96, 1, 1, false, 16, 1, true, false, KvFormat::same, kSpills}>(),
    sized<AttentionRow{"attention.decode.f16.d64",                    ArchClass::portable, DType::f16,   64,  16, 128, 8, 3}>(),
    sized<AttentionRow{"attention.decode.f16.d96",                    ArchClass::portable, DType::f16,   96,  16,  64, 4, 4}>(),
    sized<AttentionRow{"attention.decode.f16.d128",                   ArchClass::portable, DType::f16,  128,  16,  64, 4, 3}>(),
    sized<AttentionRow{"attention.decode.f16.d256",                   ArchClass::portable, DType::f16,  256,  16,  32, 2, 2, false, 16, 1, true}>(),
    sized<AttentionRow{"attention.portable.f16.d64.any",              ArchClass::portable, DType::f16,   64,  64,  32, 1, 2, true, 16, 1, true}>(),
    sized<AttentionRow{"attention.portable.f16.d128.any",             ArchClass::portable, DType::f16,  128,  64,  32, 1, 2, true, 16, 1, true}>(),
    sized<AttentionRow{"attention.portable.f16.d256.any",             ArchClass::portable, DType::f16,  256,  64,  16, 1, 2, true, 16, 1, true}>(),
    sized<AttentionRow{"attention.cluster.bf16.d64",           ArchClass::portable, DType::bf16,  64,  16, 128, 8, 3, false, 16, 1, false, true}>(),
    sized<AttentionRow{"attention.cluster.bf16.d64.s2",        ArchClass::portable, DType::bf16,  64,  16, 128, 8, 2, false, 16, 1, false, true}>(),
    sized<AttentionRow{"attention.cluster.bf16.d128",          ArchClass::portable, DType::bf16, 128,  16,  64, 4, 3, false, 16, 1, false, true}>(),
    sized<AttentionRow{"attention.cluster.bf16.d128.s2",       ArchClass::portable, DType::bf16, 128,  16,  64, 4, 2, false, 16, 1, false, true}>(),
    sized<AttentionRow{"attention.cluster.f16.d64",            ArchClass::portable, DType::f16,   64,  16, 128, 8, 3, false, 16, 1, false, true}>(),
    sized<AttentionRow{"attention.cluster.f16.d64.s2",         ArchClass::portable, DType::f16,   64,  16, 128, 8, 2, false, 16, 1, false, true}>(),
    sized<AttentionRow{"attention.cluster.f16.d128",           ArchClass::portable, DType::f16,  128,  16,  64, 4, 3, false, 16, 1, false, true}>(),
    sized<AttentionRow{"attention.cluster.f16.d128.s2",        ArchClass::portable, DType::f16,  128,  16,  64, 4, 2, false, 16, 1, false, true}>(),
    sized<AttentionRow{"attention.portable.bf16.e4m3.d64.r128",       ArchClass::portable, DType::bf16,  64, 128,  64, 1, 2, false, 32, 2, true, false, KvFormat::fp8_e4m3, kSpills}>(),
    sized<AttentionRow{"attention.portable.bf16.e4m3.d128.r128",      ArchClass::portable, DType::bf16, 128, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::fp8_e4m3, kSpills}>(),
    sized<AttentionRow{"attention.portable.bf16.e4m3.d256.r64",       ArchClass::portable, DType::bf16, 256,  64,  32, 1, 2, false, 16, 1, true, false, KvFormat::fp8_e4m3, kSpills}>(),
    sized<AttentionRow{"attention.decode.bf16.e4m3.d64",              ArchClass::portable, DType::bf16,  64,  16, 128, 8, 3, false, 16, 1, false, false, KvFormat::fp8_e4m3}>(),
    sized<AttentionRow{"attention.decode.bf16.e4m3.d128",             ArchClass::portable, DType::bf16, 128,  16,  64, 4, 3, false, 16, 1, false, false, KvFormat::fp8_e4m3}>(),
    sized<AttentionRow{"attention.decode.bf16.e4m3.d256",             ArchClass::portable, DType::bf16, 256,  16,  32, 2, 3, false, 16, 1, true, false, KvFormat::fp8_e4m3, kSpills}>(),
    sized<AttentionRow{"attention.cluster.bf16.e4m3.d64",             ArchClass::portable, DType::bf16,  64,  16, 128, 8, 3, false, 16, 1, false, true, KvFormat::fp8_e4m3}>(),
    sized<AttentionRow{"attention.cluster.bf16.e4m3.d128",            ArchClass::portable, DType::bf16, 128,  16,  64, 4, 3, false, 16, 1, false, true, KvFormat::fp8_e4m3}>(),
    sized<AttentionRow{"attention.portable.bf16.e4m3.d256.any",       ArchClass::portable, DType::bf16, 256,  64,  16, 1, 2, true, 16, 1, true, false, KvFormat::fp8_e4m3, kSpills}>(),
    sized<AttentionRow{"attention.portable.bf16.e5m2.d128.r128",      ArchClass::portable, DType::bf16, 128, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::fp8_e5m2, kSpills}>(),
    sized<AttentionRow{"attention.decode.bf16.e5m2.d128",             ArchClass::portable, DType::bf16, 128,  16,  64, 4, 3, false, 16, 1, false, false, KvFormat::fp8_e5m2}>(),
    sized<AttentionRow{"attention.portable.bf16.e5m2.d256.any",       ArchClass::portable, DType::bf16, 256,  64,  16, 1, 2, true, 16, 1, true, false, KvFormat::fp8_e5m2, kSpills}>(),
    sized<AttentionRow{"attention.portable.f16.e4m3.d64.r128",        ArchClass::portable, DType::f16,   64, 128,  64, 1, 2, false, 32, 2, true, false, KvFormat::fp8_e4m3, kSpills}>(),
    sized<AttentionRow{"attention.portable.f16.e4m3.d128.r128",       ArchClass::portable, DType::f16,  128, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::fp8_e4m3, kSpills}>(),
    sized<AttentionRow{"attention.portable.f16.e4m3.d256.r64",        ArchClass::portable, DType::f16,  256,  64,  32, 1, 2, false, 16, 1, true, false, KvFormat::fp8_e4m3, kSpills}>(),
    sized<AttentionRow{"attention.decode.f16.e4m3.d64",               ArchClass::portable, DType::f16,   64,  16, 128, 8, 3, false, 16, 1, false, false, KvFormat::fp8_e4m3}>(),
    sized<AttentionRow{"attention.decode.f16.e4m3.d128",              ArchClass::portable, DType::f16,  128,  16,  64, 4, 3, false, 16, 1, false, false, KvFormat::fp8_e4m3}>(),
    sized<AttentionRow{"attention.decode.f16.e4m3.d256",              ArchClass::portable, DType::f16,  256,  16,  32, 2, 3, false, 16, 1, true, false, KvFormat::fp8_e4m3, kSpills}>(),
    sized<AttentionRow{"attention.cluster.f16.e4m3.d64",              ArchClass::portable, DType::f16,   64,  16, 128, 8, 3, false, 16, 1, false, true, KvFormat::fp8_e4m3}>(),
    sized<AttentionRow{"attention.cluster.f16.e4m3.d128",             ArchClass::portable, DType::f16,  128,  16,  64, 4, 3, false, 16, 1, false, true, KvFormat::fp8_e4m3}>(),
    sized<AttentionRow{"attention.portable.f16.e4m3.d256.any",        ArchClass::portable, DType::f16,  256,  64,  16, 1, 2, true, 16, 1, true, false, KvFormat::fp8_e4m3, kSpills}>(),
    sized<AttentionRow{"attention.portable.f16.e5m2.d128.r128",       ArchClass::portable, DType::f16,  128, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::fp8_e5m2, kSpills}>(),
    sized<AttentionRow{"attention.decode.f16.e5m2.d128",              ArchClass::portable, DType::f16,  128,  16,  64, 4, 3, false, 16, 1, false, false, KvFormat::fp8_e5m2}>(),
    sized<AttentionRow{"attention.portable.f16.e5m2.d256.any",        ArchClass::portable, DType::f16,  256,  64,  16, 1, 2, true, 16, 1, true, false, KvFormat::fp8_e5m2, kSpills}>(),
    sized<AttentionRow{"attention.portable.bf16.d128.r64",            ArchClass::portable, DType::bf16, 128,  64,  64, 1, 2, false, 16, 2, false}>(),
    sized<AttentionRow{"attention.portable.f16.d128.r64",             ArchClass::portable, DType::f16,  128,  64,  64, 1, 2, false, 16, 2, false}>(),
    sized<AttentionRow{"attention.portable.bf16.d64.biased",         ArchClass::portable, DType::bf16,  64, 128,  64, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills, true}>(),
    sized<AttentionRow{"attention.portable.bf16.d128.biased",        ArchClass::portable, DType::bf16, 128, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills, true}>(),
    sized<AttentionRow{"attention.portable.bf16.d128.r64.biased",    ArchClass::portable, DType::bf16, 128,  64,  64, 1, 2, false, 16, 2, false, false, KvFormat::same, kSpills, true}>(),
    sized<AttentionRow{"attention.portable.bf16.d256.biased",        ArchClass::portable, DType::bf16, 256,  64,  32, 1, 2, false, 16, 1, true, false, KvFormat::same, kSpills, true}>(),
    sized<AttentionRow{"attention.portable.bf16.d256.r128k96.biased", ArchClass::portable, DType::bf16, 256, 128,  96, 1, 1, false, 16, 1, true, false, KvFormat::same, kSpills, true}>(),
    sized<AttentionRow{"attention.portable.bf16.d256.any.biased",    ArchClass::portable, DType::bf16, 256,  64,  16, 1, 2, true, 16, 1, true, false, KvFormat::same, kSpills, true, 0, true}>(),
    sized<AttentionRow{"attention.portable.bf16.e4m3.d256.any.biased", ArchClass::portable, DType::bf16, 256,  64,  16, 1, 2, true, 16, 1, true, false, KvFormat::fp8_e4m3, kSpills, true, 0, true}>(),
    sized<AttentionRow{"attention.portable.bf16.e5m2.d256.any.biased", ArchClass::portable, DType::bf16, 256,  64,  16, 1, 2, true, 16, 1, true, false, KvFormat::fp8_e5m2, kSpills, true, 0, true}>(),
    sized<AttentionRow{"attention.portable.f16.d64.biased",          ArchClass::portable, DType::f16,   64, 128,  64, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills, true}>(),
    sized<AttentionRow{"attention.portable.f16.d128.biased",         ArchClass::portable, DType::f16,  128, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills, true}>(),
    sized<AttentionRow{"attention.portable.f16.d128.r64.biased",     ArchClass::portable, DType::f16,  128,  64,  64, 1, 2, false, 16, 2, false, false, KvFormat::same, kSpills, true}>(),
    sized<AttentionRow{"attention.portable.f16.d256.biased",         ArchClass::portable, DType::f16,  256,  64,  32, 1, 2, false, 16, 1, true, false, KvFormat::same, kSpills, true}>(),
    sized<AttentionRow{"attention.portable.f16.d256.r128k96.biased", ArchClass::portable, DType::f16, 256, 128,  96, 1, 1, false, 16, 1, true, false, KvFormat::same, kSpills, true}>(),
    sized<AttentionRow{"attention.portable.f16.d256.any.biased",     ArchClass::portable, DType::f16,  256,  64,  16, 1, 2, true, 16, 1, true, false, KvFormat::same, kSpills, true, 0, true}>(),
    sized<AttentionRow{"attention.portable.f16.e4m3.d256.any.biased",  ArchClass::portable, DType::f16,  256,  64,  16, 1, 2, true, 16, 1, true, false, KvFormat::fp8_e4m3, kSpills, true, 0, true}>(),
    sized<AttentionRow{"attention.portable.f16.e5m2.d256.any.biased",  ArchClass::portable, DType::f16,  256,  64,  16, 1, 2, true, 16, 1, true, false, KvFormat::fp8_e5m2, kSpills, true, 0, true}>(),
    sized<AttentionRow{"attention.portable.bf16.d192v128.r128",      ArchClass::portable, DType::bf16, 192, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills, false, 128}>(),
    sized<AttentionRow{"attention.portable.f16.d192v128.r128",       ArchClass::portable, DType::f16,  192, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills, false, 128}>(),
    sized<AttentionRow{"attention.portable.bf16.d128.lists",        ArchClass::portable, DType::bf16, 128, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills, false, 0, true}>(),
    sized<AttentionRow{"attention.portable.bf16.d128.r64.lists",    ArchClass::portable, DType::bf16, 128,  64,  64, 1, 2, false, 16, 2, false, false, KvFormat::same, {}, false, 0, true}>(),
    sized<AttentionRow{"attention.portable.f16.d128.lists",        ArchClass::portable, DType::f16, 128, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::same, kSpills, false, 0, true}>(),
    sized<AttentionRow{"attention.portable.f16.d128.r64.lists",    ArchClass::portable, DType::f16, 128,  64,  64, 1, 2, false, 16, 2, false, false, KvFormat::same, {}, false, 0, true}>(),
    sized<AttentionRow{"attention.portable.bf16.nvfp4.d256.any",     ArchClass::portable, DType::bf16, 256,  64,  16, 1, 2, true, 16, 1, true, false, KvFormat::nvfp4, kSpills, true, 0, true}>(),
    sized<AttentionRow{"attention.portable.f16.nvfp4.d256.any",      ArchClass::portable, DType::f16,  256,  64,  16, 1, 2, true, 16, 1, true, false, KvFormat::nvfp4, kSpills, true, 0, true}>(),
    sized<AttentionRow{"attention.decode.bf16.nvfp4.d128",           ArchClass::portable, DType::bf16, 128,  16,  64, 4, 5, false, 16, 1, false, false, KvFormat::nvfp4}>(),
    sized<AttentionRow{"attention.decode.f16.nvfp4.d128",            ArchClass::portable, DType::f16,  128,  16,  64, 4, 5, false, 16, 1, false, false, KvFormat::nvfp4}>(),
    sized<AttentionRow{"attention.portable.bf16.nvfp4.d128.r128",     ArchClass::portable, DType::bf16, 128, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::nvfp4, kSpills}>(),
    sized<AttentionRow{"attention.portable.f16.nvfp4.d128.r128",      ArchClass::portable, DType::f16,  128, 128,  32, 1, 2, false, 32, 2, true, false, KvFormat::nvfp4, kSpills}>(),
    {"attention.host.bf16", ArchClass::host, DType::bf16, 256},
    {"attention.host.f16",  ArchClass::host, DType::f16,  256},
};
// rows:end
// clang-format on

// Names the format that the row is for, or is not for.
constexpr Rejection kv_format_rejection(KvFormat required, KvFormat actual) {
    const bool coded = required != KvFormat::same;
    return {kv_format_name(coded ? required : actual), coded ? 1 : 0, coded ? 0 : 1, "bool"};
}

constexpr Rejection why_not(const AttentionRow& row, const TargetFacts& target,
                            const AttentionProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.clusters && max_cluster_blocks(facts_of(target.build_target).first_capability) == 0)
        return {"clusters", 90, target.compute_capability, "sm"};
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    const bool is_device = row.arch != ArchClass::host;
    if (is_device && row.kv_format != problem.kv_format)
        return kv_format_rejection(row.kv_format, problem.kv_format);
    if (is_device && !row.biases) {
        if (problem.alibi) return {"alibi", 0, 1, "bool"};
        if (problem.mask) return {"mask", 0, 1, "bool"};
    }
    if (problem.kv_heads < 1) return {"kv_heads", 1, problem.kv_heads, "at_least"};
    if (problem.heads % problem.kv_heads != 0) return {"heads", problem.kv_heads, problem.heads, "multiple"};
    if (is_device && (problem.block_queries > 0 ? !row.lists : has_only_lists(row)))
        return {"block_lists", row.lists ? 1 : 0, row.lists ? 0 : 1, "bool"};
    if (problem.block_queries > 0) {
        if (problem.block_keys < 1 || (problem.block_keys & (problem.block_keys - 1)) != 0)
            return {"block_keys", 0, problem.block_keys, "power_of_two"};
        if (problem.block_keys > kMaxBlockKeys)
            return {"block_keys", kMaxBlockKeys, problem.block_keys, "at_most"};
        // A tile of rows, or a warp's rows of it, is of one block, and so is a step of keys, which may have
        // fewer than it has room for where a warp's rows are.
        const i64 group = is_device ? problem.heads / problem.kv_heads : 1;
        const i64 rows = !is_device ? 16 : has_only_lists(row) ? row.tile_rows : row.warp_rows;
        if (problem.block_queries * group % rows != 0 && problem.max_q_len > problem.block_queries)
            return {"block_queries", ceil_div(rows, group), problem.block_queries, "multiple"};
        if (has_only_lists(row) && problem.block_keys % row.kv_tile != 0)
            return {"block_keys", row.kv_tile, problem.block_keys, "multiple"};
    }
    if (problem.head_dim > row.head_dim) return {"head_dim", row.head_dim, problem.head_dim, "at_most"};
    if (is_device && !has_two_sizes(row) && value_dim(problem) != problem.head_dim)
        return {"head_dim_v", problem.head_dim, value_dim(problem), "equal"};
    if (value_dim(problem) > value_dim(row))
        return {"head_dim_v", value_dim(row), value_dim(problem), "at_most"};
    if (problem.paged && (problem.page_size < 1 || (problem.page_size & (problem.page_size - 1)) != 0)) {
        return {"page_size", 0, problem.page_size, "power_of_two"};
    }
    if (problem.kv_format == KvFormat::nvfp4) {
        if (problem.head_dim % kKvBlock != 0) return {"head_dim", kKvBlock, problem.head_dim, "multiple"};
        if (value_dim(problem) % kKvBlock != 0)
            return {"head_dim_v", kKvBlock, value_dim(problem), "multiple"};
    }
    if (is_device && !row.elementwise) {
        // Of packed codes' scales, whole words.
        const i64 vector = is_packed(row) ? 4 * kKvBlock : is_coded(row) ? 16 : 8;
        if (problem.head_dim % vector != 0) return {"head_dim", vector, problem.head_dim, "multiple"};
        if (value_dim(problem) % vector != 0) return {"head_dim_v", vector, value_dim(problem), "multiple"};
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    }
    return accepted();
}

// ---- What preparation derives from the capacities.

constexpr i64 total_q_tokens(const AttentionProblem& problem) {
    return problem.q_tokens > 0 ? problem.q_tokens : problem.sequences * problem.max_q_len;
}

// Blocks over the packed rows of one sequence and kv head.
constexpr i64 num_row_tiles(const AttentionRow& row, const AttentionProblem& problem) {
    return ceil_div(problem.max_q_len * (problem.heads / problem.kv_heads), row.tile_rows);
}

// Bytes of workspace: partial outputs, then from a multiple of 256 their log-sum-exps.
constexpr i64 partial_bytes(const AttentionProblem& problem, i64 num_splits) {
    if (num_splits <= 1) return 0;
    const i64 rows = num_splits * total_q_tokens(problem) * problem.heads;
    return round_up(rows * partial_dim(value_dim(problem)) * 4, 256) + rows * 4;
}

// The most splits whose partial results this much workspace holds; at least 1, which needs none.
constexpr i64 max_splits_in(const AttentionProblem& problem, i64 workspace_bytes) {
    const i64 per_split = total_q_tokens(problem) * problem.heads * (partial_dim(value_dim(problem)) + 1) * 4;
    i64 splits = workspace_bytes / per_split;
    while (splits > 1 && partial_bytes(problem, splits) > workspace_bytes) --splits;
    return splits > 1 ? splits : 1;
}

}  // namespace warpwright
