// SPDX-License-Identifier: Apache-2.0
// quantized_gemm: the rows, their shared memory, and which problems they serve.
#pragma once

#include "kernels/legality.h"
#include "kernels/quantized_gemm/problem.h"

namespace warpwright {

// Four kinds: tile rows (portable.cuh; `aligned` or not), stream rows (stream.cuh; max_m > 0), wide ones of
// them (wide.cuh), host rows.
struct QuantizedGemmRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::bf16;
    WeightFormat format = WeightFormat::int4;
    bool aligned = true;         // rows of a start at multiples of 16 bytes, k is a multiple of 8, no order
    int max_m = 0;               // 0: any
    int tile_m = 0, tile_n = 0;  // what a block computes
    int warp_m = 0, warp_n = 0;  // what a warp computes
    int stages = 0;              // steps of 64 of k in flight or in use
    int warps_k = 1;             // warps of a block, or groups of them, that share out the steps
    int blocks_per_sm = 1;       // registers are limited so that this many fit; shared memory may allow fewer
    bool wide = false;           // scales of two bytes, or the format's own, for 64 of k or more
    i64 shared_bytes = 0;        // dynamic; sizeof(QuantizedGemmShared)

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("dtype", self.dtype);
        v("format", self.format);
        v("aligned", self.aligned);
        v("max_m", self.max_m);
        v("tile_m", self.tile_m);
        v("tile_n", self.tile_n);
        v("warp_m", self.warp_m);
        v("warp_n", self.warp_n);
        v("stages", self.stages);
        v("warps_k", self.warps_k);
        v("blocks_per_sm", self.blocks_per_sm);
        v("wide", self.wide);
        v("shared_bytes", self.shared_bytes);
    }
};

// Groups of scales in a step of 64 of k, as far as the format says; 1 where the problem does.
constexpr int groups_a_step(WeightFormat format) {
    return facts_of(format).group == 0 ? 1 : kPackedK / facts_of(format).group;
}

constexpr bool is_stream(const QuantizedGemmRow& row) {
    return row.max_m > 0;
}
constexpr int num_warps(const QuantizedGemmRow& row) {
    return (row.tile_m / row.warp_m) * (row.tile_n / row.warp_n) * row.warps_k;
}
constexpr int num_threads(const QuantizedGemmRow& row) {
    return num_warps(row) * 32;
}

// Tile rows that may sum two steps before they scale the sums. Of mxfp4, whose every step has sums to scale,
// there would be no register left.
constexpr bool may_pair_steps(const QuantizedGemmRow& row) {
    return !is_stream(row) && row.aligned && row.warps_k == 1 && row.format != WeightFormat::mxfp4;
}

// One step of 64 of k: what a block, or one of the warps or groups of warps that share out k, takes at a
// time.
template <QuantizedGemmRow R>
struct QuantizedGemmStep {
    unsigned char codes[R.tile_n * kPackedK * facts_of(R.format).bits / 8];  // as in memory (layout.h)
    u16 a[R.tile_m * kPackedK];
    unsigned char scales[R.tile_n * 4];
    unsigned char zeros[R.tile_n * 2];
};

// Whole lines: a copy of 512 bytes to another address than a line's takes much longer.
template <QuantizedGemmRow R>
struct alignas(128) QuantizedGemmTurn {
    static constexpr int kScaleBytes = facts_of(R.format).group != 0 ? groups_a_step(R.format) : 2;
    unsigned char codes[R.tile_n * kPackedK * facts_of(R.format).bits / 8];  // tile by tile
    u16 a[R.tile_m * kPackedK];
    unsigned char scales[R.tile_n * kScaleBytes];
    unsigned char zeros[facts_of(R.format).zero != 0 ? R.tile_n : 16];
};

// Stream rows: each warp has a ring of its own; then every warp's partial sums.
// Tile rows: a ring for all, which the epilogue reuses for 16 tokens of every warp's result.
template <QuantizedGemmRow R, bool stream = is_stream(R), bool wide = R.wide>
struct QuantizedGemmShared {
    union {
        QuantizedGemmStep<R> ring[R.stages][R.warps_k];
        float result[num_warps(R)][16][R.warp_n + 4];  // + 4: no bank conflicts
    };
};
template <QuantizedGemmRow R>
struct QuantizedGemmShared<R, true, false> {
    union {
        QuantizedGemmStep<R> ring[R.warps_k][R.stages];
        float partial[R.warps_k][R.tile_m][R.tile_n + 1];
    };
};
template <QuantizedGemmRow R>
struct QuantizedGemmShared<R, true, true> {
    union {
        QuantizedGemmTurn<R> ring[R.warps_k][R.stages];
        alignas(128) float partial[R.warps_k][R.tile_m][R.tile_n + 4];  // + 4: no bank conflicts
    };
};

template <QuantizedGemmRow R>
consteval QuantizedGemmRow sized() {
    QuantizedGemmRow row = R;
    row.shared_bytes = sizeof(QuantizedGemmShared<R>);
    return row;
}

// clang-format off
// rows:begin
inline constexpr QuantizedGemmRow kQuantizedGemmRows[] = {
    //                      name                                           class                dtype        format                  aligned max_m tile    warp    stages warps_k blocks
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.int4.64x128",     ArchClass::portable, DType::bf16,  WeightFormat::int4,      true ,  0,  64, 128,  64,  32,  6, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.int4.32x64.k4",   ArchClass::portable, DType::bf16,  WeightFormat::int4,      true ,  0,  32,  64,  32,  32,  3, 4, 1}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.int4.any",        ArchClass::portable, DType::bf16,  WeightFormat::int4,      false,  0,  64,  64,  32,  32,  2, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.int4.m8.n64.k4",    ArchClass::portable, DType::bf16,  WeightFormat::int4,      true ,  8,   8,  64,   8,  64,  4, 4, 4}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.int4.m8.n32",       ArchClass::portable, DType::bf16,  WeightFormat::int4,      true ,  8,   8,  32,   8,  32,  4, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.int4.m16.n64",      ArchClass::portable, DType::bf16,  WeightFormat::int4,      true , 16,  16,  64,  16,  64,  3, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.int4.m16.n32",      ArchClass::portable, DType::bf16,  WeightFormat::int4,      true , 16,  16,  32,  16,  32,  3, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.wide.bf16.int4.m16.n112.k4",    ArchClass::portable, DType::bf16,  WeightFormat::int4,      true , 16,  16, 112,  16, 112,  4, 4, 2, true}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.int8.64x128",     ArchClass::portable, DType::bf16,  WeightFormat::int8,      true ,  0,  64, 128,  64,  32,  4, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.int8.32x64.k4",   ArchClass::portable, DType::bf16,  WeightFormat::int8,      true ,  0,  32,  64,  32,  32,  2, 4, 1}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.int8.any",        ArchClass::portable, DType::bf16,  WeightFormat::int8,      false,  0,  64,  64,  32,  32,  2, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.int8.m8.n64.k4",    ArchClass::portable, DType::bf16,  WeightFormat::int8,      true ,  8,   8,  64,   8,  64,  4, 4, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.int8.m8.n32",       ArchClass::portable, DType::bf16,  WeightFormat::int8,      true ,  8,   8,  32,   8,  32,  3, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.int8.m16.n64",      ArchClass::portable, DType::bf16,  WeightFormat::int8,      true , 16,  16,  64,  16,  64,  3, 8, 1}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.int8.m16.n32.k4",   ArchClass::portable, DType::bf16,  WeightFormat::int8,      true , 16,  16,  32,  16,  32,  4, 4, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.wide.bf16.int8.m16.n112.k4",    ArchClass::portable, DType::bf16,  WeightFormat::int8,      true , 16,  16, 112,  16, 112,  2, 4, 2, true}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.fp8_e4m3.64x128", ArchClass::portable, DType::bf16,  WeightFormat::fp8_e4m3,  true ,  0,  64, 128,  64,  32,  4, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.fp8_e4m3.32x64.k4", ArchClass::portable, DType::bf16,  WeightFormat::fp8_e4m3,  true ,  0,  32,  64,  32,  32,  2, 4, 1}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.fp8_e4m3.any",    ArchClass::portable, DType::bf16,  WeightFormat::fp8_e4m3,  false,  0,  64,  64,  32,  32,  2, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.fp8_e4m3.m8.n64.k4", ArchClass::portable, DType::bf16,  WeightFormat::fp8_e4m3,  true ,  8,   8,  64,   8,  64,  4, 4, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.fp8_e4m3.m8.n32",   ArchClass::portable, DType::bf16,  WeightFormat::fp8_e4m3,  true ,  8,   8,  32,   8,  32,  3, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.fp8_e4m3.m16.n64",  ArchClass::portable, DType::bf16,  WeightFormat::fp8_e4m3,  true , 16,  16,  64,  16,  64,  3, 8, 1}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.fp8_e4m3.m16.n32.k4", ArchClass::portable, DType::bf16,  WeightFormat::fp8_e4m3,  true , 16,  16,  32,  16,  32,  4, 4, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.fp8_e4m3.m16.n64.k4", ArchClass::portable, DType::bf16,  WeightFormat::fp8_e4m3,  true , 16,  16,  64,  16,  64,  3, 4, 3}>(),
    sized<QuantizedGemmRow{"quantized_gemm.wide.bf16.fp8_e4m3.m16.n112.k4", ArchClass::portable, DType::bf16,  WeightFormat::fp8_e4m3,  true , 16,  16, 112,  16, 112,  2, 4, 2, true}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.mxfp4.64x128",    ArchClass::portable, DType::bf16,  WeightFormat::mxfp4,     true ,  0,  64, 128,  64,  32,  4, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.mxfp4.32x64.k4",  ArchClass::portable, DType::bf16,  WeightFormat::mxfp4,     true ,  0,  32,  64,  32,  32,  3, 4, 1}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.mxfp4.any",       ArchClass::portable, DType::bf16,  WeightFormat::mxfp4,     false,  0,  64,  64,  32,  32,  2, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.mxfp4.m8.n64.k4",   ArchClass::portable, DType::bf16,  WeightFormat::mxfp4,     true ,  8,   8,  64,   8,  64,  4, 4, 4}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.mxfp4.m8.n32",      ArchClass::portable, DType::bf16,  WeightFormat::mxfp4,     true ,  8,   8,  32,   8,  32,  4, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.mxfp4.m16.n64",     ArchClass::portable, DType::bf16,  WeightFormat::mxfp4,     true , 16,  16,  64,  16,  64,  3, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.mxfp4.m16.n32",     ArchClass::portable, DType::bf16,  WeightFormat::mxfp4,     true , 16,  16,  32,  16,  32,  3, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.wide.bf16.mxfp4.m16.n112.k4",   ArchClass::portable, DType::bf16,  WeightFormat::mxfp4,     true , 16,  16, 112,  16, 112,  4, 4, 2, true}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.nvfp4.64x128",    ArchClass::portable, DType::bf16,  WeightFormat::nvfp4,     true ,  0,  64, 128,  64,  32,  6, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.nvfp4.32x64.k4",  ArchClass::portable, DType::bf16,  WeightFormat::nvfp4,     true ,  0,  32,  64,  32,  32,  3, 4, 1}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.bf16.nvfp4.any",       ArchClass::portable, DType::bf16,  WeightFormat::nvfp4,     false,  0,  64,  64,  32,  32,  2, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.nvfp4.m8.n64.k4",   ArchClass::portable, DType::bf16,  WeightFormat::nvfp4,     true ,  8,   8,  64,   8,  64,  4, 4, 4}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.nvfp4.m8.n32",      ArchClass::portable, DType::bf16,  WeightFormat::nvfp4,     true ,  8,   8,  32,   8,  32,  4, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.nvfp4.m16.n64",     ArchClass::portable, DType::bf16,  WeightFormat::nvfp4,     true , 16,  16,  64,  16,  64,  3, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.bf16.nvfp4.m16.n32",     ArchClass::portable, DType::bf16,  WeightFormat::nvfp4,     true , 16,  16,  32,  16,  32,  3, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.wide.bf16.nvfp4.m16.n112.k4",   ArchClass::portable, DType::bf16,  WeightFormat::nvfp4,     true , 16,  16, 112,  16, 112,  4, 4, 2, true}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.f16.int4.64x128",      ArchClass::portable, DType::f16,   WeightFormat::int4,      true ,  0,  64, 128,  64,  32,  6, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.f16.int4.any",         ArchClass::portable, DType::f16,   WeightFormat::int4,      false,  0,  64,  64,  32,  32,  2, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.f16.int4.m8.n32",        ArchClass::portable, DType::f16,   WeightFormat::int4,      true ,  8,   8,  32,   8,  32,  4, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.f16.int4.m16.n32",       ArchClass::portable, DType::f16,   WeightFormat::int4,      true , 16,  16,  32,  16,  32,  3, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.f16.int8.64x128",      ArchClass::portable, DType::f16,   WeightFormat::int8,      true ,  0,  64, 128,  64,  32,  4, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.f16.int8.any",         ArchClass::portable, DType::f16,   WeightFormat::int8,      false,  0,  64,  64,  32,  32,  2, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.f16.int8.m8.n32",        ArchClass::portable, DType::f16,   WeightFormat::int8,      true ,  8,   8,  32,   8,  32,  3, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.f16.int8.m16.n32.k4",    ArchClass::portable, DType::f16,   WeightFormat::int8,      true , 16,  16,  32,  16,  32,  4, 4, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.f16.fp8_e4m3.64x128",  ArchClass::portable, DType::f16,   WeightFormat::fp8_e4m3,  true ,  0,  64, 128,  64,  32,  4, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.f16.fp8_e4m3.any",     ArchClass::portable, DType::f16,   WeightFormat::fp8_e4m3,  false,  0,  64,  64,  32,  32,  2, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.f16.fp8_e4m3.m8.n32",    ArchClass::portable, DType::f16,   WeightFormat::fp8_e4m3,  true ,  8,   8,  32,   8,  32,  3, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.f16.fp8_e4m3.m16.n32.k4", ArchClass::portable, DType::f16,   WeightFormat::fp8_e4m3,  true , 16,  16,  32,  16,  32,  4, 4, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.f16.mxfp4.64x128",     ArchClass::portable, DType::f16,   WeightFormat::mxfp4,     true ,  0,  64, 128,  64,  32,  4, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.f16.mxfp4.any",        ArchClass::portable, DType::f16,   WeightFormat::mxfp4,     false,  0,  64,  64,  32,  32,  2, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.f16.mxfp4.m8.n32",       ArchClass::portable, DType::f16,   WeightFormat::mxfp4,     true ,  8,   8,  32,   8,  32,  4, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.f16.mxfp4.m16.n32",      ArchClass::portable, DType::f16,   WeightFormat::mxfp4,     true , 16,  16,  32,  16,  32,  3, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.f16.nvfp4.64x128",     ArchClass::portable, DType::f16,   WeightFormat::nvfp4,     true ,  0,  64, 128,  64,  32,  6, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.portable.f16.nvfp4.any",        ArchClass::portable, DType::f16,   WeightFormat::nvfp4,     false,  0,  64,  64,  32,  32,  2, 1, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.f16.nvfp4.m8.n32",       ArchClass::portable, DType::f16,   WeightFormat::nvfp4,     true ,  8,   8,  32,   8,  32,  4, 8, 2}>(),
    sized<QuantizedGemmRow{"quantized_gemm.stream.f16.nvfp4.m16.n32",      ArchClass::portable, DType::f16,   WeightFormat::nvfp4,     true , 16,  16,  32,  16,  32,  3, 8, 2}>(),
    {"quantized_gemm.host.bf16.int4",     ArchClass::host, DType::bf16,  WeightFormat::int4,      false},
    {"quantized_gemm.host.bf16.int8",     ArchClass::host, DType::bf16,  WeightFormat::int8,      false},
    {"quantized_gemm.host.bf16.fp8_e4m3", ArchClass::host, DType::bf16,  WeightFormat::fp8_e4m3,  false},
    {"quantized_gemm.host.bf16.mxfp4",    ArchClass::host, DType::bf16,  WeightFormat::mxfp4,     false},
    {"quantized_gemm.host.bf16.nvfp4",    ArchClass::host, DType::bf16,  WeightFormat::nvfp4,     false},
    {"quantized_gemm.host.f16.int4",      ArchClass::host, DType::f16,   WeightFormat::int4,      false},
    {"quantized_gemm.host.f16.int8",      ArchClass::host, DType::f16,   WeightFormat::int8,      false},
    {"quantized_gemm.host.f16.fp8_e4m3",  ArchClass::host, DType::f16,   WeightFormat::fp8_e4m3,  false},
    {"quantized_gemm.host.f16.mxfp4",     ArchClass::host, DType::f16,   WeightFormat::mxfp4,     false},
    {"quantized_gemm.host.f16.nvfp4",     ArchClass::host, DType::f16,   WeightFormat::nvfp4,     false},
};
// rows:end
// clang-format on

// The first rule that a row breaks says what: its types, then what its copies need.
constexpr Rejection why_not(const QuantizedGemmRow& row, const TargetFacts& target,
                            const QuantizedGemmProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.format != problem.format) return {facts_of(row.format).name, 1, 0, "bool"};
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    const bool as_codes = problem.out == DType::u8;
    if (as_codes ? is_stream(row) : problem.out != DType::f32 && problem.out != row.dtype) {
        return dtype_rejection("out", row.dtype, problem.out);
    }
    if (as_codes && problem.grouping != Grouping::none) return {"grouping", 0, 1, "bool"};
    const i64 own_group = facts_of(row.format).group;
    if (own_group != 0 && problem.group != own_group) return {"group", own_group, problem.group};
    if (problem.group != 0) {
        if (problem.k % problem.group != 0) return {"k", problem.group, problem.k, "multiple"};
        if (own_group == 0 && problem.group < 32) return {"group", 32, problem.group, "at_least"};
        if ((problem.group & (problem.group - 1)) != 0) return {"group", 0, problem.group, "power_of_two"};
    }
    if ((own_group != 0) != (problem.scale == DType::u8)) {
        return dtype_rejection("scale", own_group != 0 ? DType::u8 : row.dtype, problem.scale);
    }
    if (problem.zeros && !is_integer(row.format)) return {"zeros", 0, 1, "bool"};
    if (row.arch == ArchClass::host) return accepted();
    if (is_stream(row) && problem.grouping == Grouping::contiguous) return {"grouping", 0, 1, "bool"};
    // A step's scales have four bytes a row.
    if (problem.scale == DType::f32 && problem.group == 32) return {"group", 64, problem.group, "at_least"};
    if (row.wide && own_group == 0) {
        if (problem.scale == DType::f32) return dtype_rejection("scale", row.dtype, problem.scale);
        if (problem.group == 32) return {"group", 64, problem.group, "at_least"};
    }
    if (is_stream(row) && problem.m > row.max_m) return {"m", row.max_m, problem.m, "at_most"};
    if (row.aligned) {
        if (problem.order) return {"order", 0, 1, "bool"};
        if (problem.k % 8 != 0) return {"k", 8, problem.k, "multiple"};
        if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    }
    return accepted();
}

}  // namespace warpwright
