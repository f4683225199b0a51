// SPDX-License-Identifier: Apache-2.0
// gemm: the rows, their shared memory, and which problems they serve.
#pragma once

#include "kernels/gemm/problem.h"
#include "kernels/legality.h"

namespace warpwright {

// Three kinds: tile rows (portable.cuh; `aligned` or not), bandwidth rows (bandwidth.cuh; max_m > 0), host
// rows.
struct GemmRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::bf16;
    bool aligned = true;         // rows of a and b start at multiples of 16 bytes
    int max_m = 0;               // 0: any
    int tile_m = 0;              // what a block computes; tile_k: what it, or each warp that splits k, takes
    int tile_n = 0, tile_k = 0;  // from memory at a time
    int warp_m = 0, warp_n = 0;  // what a warp computes
    int stages = 0;              // tiles in flight or in use: in shared memory, or in registers
    int warps_k = 1;             // warps of a block that split k
    int blocks_per_sm = 1;       // registers are limited so that this many fit; shared memory may allow fewer
    bool codes = false;          // d is codes of one byte by a given scale
    i64 shared_bytes = 0;        // dynamic; sizeof(GemmShared), filled in by sized()

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("dtype", self.dtype);
        v("aligned", self.aligned);
        v("max_m", self.max_m);
        v("tile_m", self.tile_m);
        v("tile_n", self.tile_n);
        v("tile_k", self.tile_k);
        v("warp_m", self.warp_m);
        v("warp_n", self.warp_n);
        v("stages", self.stages);
        v("warps_k", self.warps_k);
        v("blocks_per_sm", self.blocks_per_sm);
        v("codes", self.codes);
        v("shared_bytes", self.shared_bytes);
    }
};

constexpr bool is_bandwidth(const GemmRow& row) {
    return row.max_m > 0;
}
constexpr int num_warps(const GemmRow& row) {
    return (row.tile_m / row.warp_m) * (row.tile_n / row.warp_n) * row.warps_k;
}
constexpr int num_threads(const GemmRow& row) {
    return num_warps(row) * 32;
}

// Tile rows: the ring of operand tiles, which the epilogue reuses for 16 rows of every warp's result.
template <GemmRow R, bool bandwidth = is_bandwidth(R)>
struct GemmShared {
    struct Stage {
        u16 a[R.tile_m * R.tile_k];  // swizzled (tile/swizzle.h)
        u16 b[R.tile_n * R.tile_k];
    };
    union {
        Stage stage[R.stages];
        float result[num_warps(R)][16][R.warp_n + 8];  // + 8: no bank conflicts
    };
};

// Bandwidth rows: every warp's partial sums.
template <GemmRow R>
struct GemmShared<R, true> {
    float partial[R.warps_k][R.tile_m][R.tile_n + 1];
};

template <GemmRow R>
consteval GemmRow sized() {
    GemmRow row = R;
    row.shared_bytes = sizeof(GemmShared<R>);
    return row;
}

// clang-format off
// rows:begin
inline constexpr GemmRow kGemmRows[] = {
    //             name                                      class                dtype        aligned max_m  m, n, k of tile  warp  stages warps_k blocks
    sized<GemmRow{"gemm.portable.bf16.128x256x64",          ArchClass::portable, DType::bf16, true,   0, 128, 256,  64, 64,  64,  3,  1, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.128x224x64",          ArchClass::portable, DType::bf16, true,   0, 128, 224,  64, 32, 112,  3,  1, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.128x192x64",          ArchClass::portable, DType::bf16, true,   0, 128, 192,  64, 64,  48,  4,  1, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.128x128x64",          ArchClass::portable, DType::bf16, true,   0, 128, 128,  64, 64,  64,  3,  1, 2}>(),
    sized<GemmRow{"gemm.portable.bf16.128x256x32",          ArchClass::portable, DType::bf16, true,   0, 128, 256,  32, 64,  64,  4,  1, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.128x128x32",          ArchClass::portable, DType::bf16, true,   0, 128, 128,  32, 64,  64,  4,  1, 2}>(),
    sized<GemmRow{"gemm.portable.bf16.128x128x64.k2",       ArchClass::portable, DType::bf16, true,   0, 128, 128,  64, 64,  64,  5,  2, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.128x64x128.k4",       ArchClass::portable, DType::bf16, true,   0, 128,  64, 128, 64,  64,  3,  4, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.64x128x128.k4",       ArchClass::portable, DType::bf16, true,   0,  64, 128, 128, 64,  64,  3,  4, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.64x128x64.k2",        ArchClass::portable, DType::bf16, true,   0,  64, 128,  64, 32,  64,  6,  2, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.64x64x128.k4",        ArchClass::portable, DType::bf16, true,   0,  64,  64, 128, 32,  64,  5,  4, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.64x128x64",           ArchClass::portable, DType::bf16, true,   0,  64, 128,  64, 32,  64,  4,  1, 2}>(),
    sized<GemmRow{"gemm.portable.bf16.64x64x64.k2",         ArchClass::portable, DType::bf16, true,   0,  64,  64,  64, 32,  32,  6,  2, 2}>(),
    sized<GemmRow{"gemm.portable.bf16.32x64x128.k4",        ArchClass::portable, DType::bf16, true,   0,  32,  64, 128, 32,  32,  4,  4, 2}>(),
    sized<GemmRow{"gemm.portable.bf16.32x64x128.k4.deep",   ArchClass::portable, DType::bf16, true,   0,  32,  64, 128, 32,  32,  6,  4, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.32x32x128.k4",        ArchClass::portable, DType::bf16, true,   0,  32,  32, 128, 32,  32,  6,  4, 2}>(),
    sized<GemmRow{"gemm.portable.bf16.32x32x128.k4.deep",   ArchClass::portable, DType::bf16, true,   0,  32,  32, 128, 32,  32, 10,  4, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.16x64x128.k4",        ArchClass::portable, DType::bf16, true,   0,  16,  64, 128, 16,  64,  5,  4, 2}>(),
    sized<GemmRow{"gemm.portable.bf16.16x32x128.k4",        ArchClass::portable, DType::bf16, true,   0,  16,  32, 128, 16,  32,  8,  4, 2}>(),
    sized<GemmRow{"gemm.portable.bf16.16x32x128.k4.deep",   ArchClass::portable, DType::bf16, true,   0,  16,  32, 128, 16,  32, 16,  4, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.16x16x128.k4",        ArchClass::portable, DType::bf16, true,   0,  16,  16, 128, 16,  16, 12,  4, 2}>(),
    sized<GemmRow{"gemm.portable.bf16.any",                 ArchClass::portable, DType::bf16, false,  0,  64,  64,  32, 32,  32,  2,  1, 3}>(),
    sized<GemmRow{"gemm.bandwidth.bf16.m8.n8",              ArchClass::portable, DType::bf16, true,   8,   8,   8, 128,  8,   8,  3,  8, 2}>(),
    sized<GemmRow{"gemm.bandwidth.bf16.m8.n16",             ArchClass::portable, DType::bf16, true,   8,   8,  16,  64,  8,  16,  3,  8, 2}>(),
    sized<GemmRow{"gemm.bandwidth.bf16.m8.n16.k4",          ArchClass::portable, DType::bf16, true,   8,   8,  16,  64,  8,  16,  3,  4, 4}>(),
    sized<GemmRow{"gemm.bandwidth.bf16.m16.n8",             ArchClass::portable, DType::bf16, true,  16,  16,   8, 128, 16,   8,  2,  8, 2}>(),
    sized<GemmRow{"gemm.bandwidth.bf16.m16.n16",            ArchClass::portable, DType::bf16, true,  16,  16,  16,  64, 16,  16,  3,  8, 2}>(),
    sized<GemmRow{"gemm.bandwidth.bf16.m16.n16.k4",         ArchClass::portable, DType::bf16, true,  16,  16,  16,  64, 16,  16,  3,  4, 4}>(),
    sized<GemmRow{"gemm.portable.f16.128x256x64",           ArchClass::portable, DType::f16,  true,   0, 128, 256,  64, 64,  64,  3,  1, 1}>(),
    sized<GemmRow{"gemm.portable.f16.128x224x64",           ArchClass::portable, DType::f16,  true,   0, 128, 224,  64, 32, 112,  3,  1, 1}>(),
    sized<GemmRow{"gemm.portable.f16.128x192x64",           ArchClass::portable, DType::f16,  true,   0, 128, 192,  64, 64,  48,  4,  1, 1}>(),
    sized<GemmRow{"gemm.portable.f16.128x128x64",           ArchClass::portable, DType::f16,  true,   0, 128, 128,  64, 64,  64,  3,  1, 2}>(),
    sized<GemmRow{"gemm.portable.f16.128x256x32",           ArchClass::portable, DType::f16,  true,   0, 128, 256,  32, 64,  64,  4,  1, 1}>(),
    sized<GemmRow{"gemm.portable.f16.128x128x32",           ArchClass::portable, DType::f16,  true,   0, 128, 128,  32, 64,  64,  4,  1, 2}>(),
    sized<GemmRow{"gemm.portable.f16.128x128x64.k2",        ArchClass::portable, DType::f16,  true,   0, 128, 128,  64, 64,  64,  5,  2, 1}>(),
    sized<GemmRow{"gemm.portable.f16.128x64x128.k4",        ArchClass::portable, DType::f16,  true,   0, 128,  64, 128, 64,  64,  3,  4, 1}>(),
    sized<GemmRow{"gemm.portable.f16.64x128x128.k4",        ArchClass::portable, DType::f16,  true,   0,  64, 128, 128, 64,  64,  3,  4, 1}>(),
    sized<GemmRow{"gemm.portable.f16.64x128x64.k2",         ArchClass::portable, DType::f16,  true,   0,  64, 128,  64, 32,  64,  6,  2, 1}>(),
    sized<GemmRow{"gemm.portable.f16.64x64x128.k4",         ArchClass::portable, DType::f16,  true,   0,  64,  64, 128, 32,  64,  5,  4, 1}>(),
    sized<GemmRow{"gemm.portable.f16.64x128x64",            ArchClass::portable, DType::f16,  true,   0,  64, 128,  64, 32,  64,  4,  1, 2}>(),
    sized<GemmRow{"gemm.portable.f16.64x64x64.k2",          ArchClass::portable, DType::f16,  true,   0,  64,  64,  64, 32,  32,  6,  2, 2}>(),
    sized<GemmRow{"gemm.portable.f16.32x64x128.k4",         ArchClass::portable, DType::f16,  true,   0,  32,  64, 128, 32,  32,  4,  4, 2}>(),
    sized<GemmRow{"gemm.portable.f16.32x64x128.k4.deep",    ArchClass::portable, DType::f16,  true,   0,  32,  64, 128, 32,  32,  6,  4, 1}>(),
    sized<GemmRow{"gemm.portable.f16.32x32x128.k4",         ArchClass::portable, DType::f16,  true,   0,  32,  32, 128, 32,  32,  6,  4, 2}>(),
    sized<GemmRow{"gemm.portable.f16.32x32x128.k4.deep",    ArchClass::portable, DType::f16,  true,   0,  32,  32, 128, 32,  32, 10,  4, 1}>(),
    sized<GemmRow{"gemm.portable.f16.16x64x128.k4",         ArchClass::portable, DType::f16,  true,   0,  16,  64, 128, 16,  64,  5,  4, 2}>(),
    sized<GemmRow{"gemm.portable.f16.16x32x128.k4",         ArchClass::portable, DType::f16,  true,   0,  16,  32, 128, 16,  32,  8,  4, 2}>(),
    sized<GemmRow{"gemm.portable.f16.16x32x128.k4.deep",    ArchClass::portable, DType::f16,  true,   0,  16,  32, 128, 16,  32, 16,  4, 1}>(),
    sized<GemmRow{"gemm.portable.f16.16x16x128.k4",         ArchClass::portable, DType::f16,  true,   0,  16,  16, 128, 16,  16, 12,  4, 2}>(),
    sized<GemmRow{"gemm.portable.f16.any",                  ArchClass::portable, DType::f16,  false,  0,  64,  64,  32, 32,  32,  2,  1, 3}>(),
    sized<GemmRow{"gemm.bandwidth.f16.m8.n8",               ArchClass::portable, DType::f16,  true,   8,   8,   8, 128,  8,   8,  3,  8, 2}>(),
    sized<GemmRow{"gemm.bandwidth.f16.m8.n16",              ArchClass::portable, DType::f16,  true,   8,   8,  16,  64,  8,  16,  3,  8, 2}>(),
    sized<GemmRow{"gemm.bandwidth.f16.m8.n16.k4",           ArchClass::portable, DType::f16,  true,   8,   8,  16,  64,  8,  16,  3,  4, 4}>(),
    sized<GemmRow{"gemm.bandwidth.f16.m16.n8",              ArchClass::portable, DType::f16,  true,  16,  16,   8, 128, 16,   8,  2,  8, 2}>(),
    sized<GemmRow{"gemm.bandwidth.f16.m16.n16",             ArchClass::portable, DType::f16,  true,  16,  16,  16,  64, 16,  16,  3,  8, 2}>(),
    sized<GemmRow{"gemm.bandwidth.f16.m16.n16.k4",          ArchClass::portable, DType::f16,  true,  16,  16,  16,  64, 16,  16,  3,  4, 4}>(),
    sized<GemmRow{"gemm.portable.bf16.16x112x128.k4",       ArchClass::portable, DType::bf16, true,   0,  16, 112, 128, 16, 112,  3,  4, 2}>(),
    sized<GemmRow{"gemm.portable.bf16.16x56x128.k4.deep",   ArchClass::portable, DType::bf16, true,   0,  16,  56, 128, 16,  56, 12,  4, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.16x48x128.k4.deep",   ArchClass::portable, DType::bf16, true,   0,  16,  48, 128, 16,  48, 14,  4, 1}>(),
    sized<GemmRow{"gemm.portable.f16.16x112x128.k4",        ArchClass::portable, DType::f16,  true,   0,  16, 112, 128, 16, 112,  3,  4, 2}>(),
    sized<GemmRow{"gemm.portable.f16.16x56x128.k4.deep",    ArchClass::portable, DType::f16,  true,   0,  16,  56, 128, 16,  56, 12,  4, 1}>(),
    sized<GemmRow{"gemm.portable.f16.16x48x128.k4.deep",    ArchClass::portable, DType::f16,  true,   0,  16,  48, 128, 16,  48, 14,  4, 1}>(),
    sized<GemmRow{"gemm.portable.bf16.128x256x64.codes",    ArchClass::portable, DType::bf16, true,   0, 128, 256,  64, 64,  64,  3,  1, 1, true}>(),
    sized<GemmRow{"gemm.portable.bf16.128x128x64.codes",    ArchClass::portable, DType::bf16, true,   0, 128, 128,  64, 64,  64,  3,  1, 2, true}>(),
    sized<GemmRow{"gemm.portable.bf16.64x128x64.codes",     ArchClass::portable, DType::bf16, true,   0,  64, 128,  64, 32,  64,  4,  1, 2, true}>(),
    sized<GemmRow{"gemm.portable.bf16.64x64x128.k4.codes",  ArchClass::portable, DType::bf16, true,   0,  64,  64, 128, 32,  64,  5,  4, 1, true}>(),
    sized<GemmRow{"gemm.portable.bf16.16x32x128.k4.codes",  ArchClass::portable, DType::bf16, true,   0,  16,  32, 128, 16,  32,  8,  4, 2, true}>(),
    sized<GemmRow{"gemm.portable.bf16.any.codes",           ArchClass::portable, DType::bf16, false,  0,  64,  64,  32, 32,  32,  2,  1, 3, true}>(),
    sized<GemmRow{"gemm.portable.f16.128x256x64.codes",     ArchClass::portable, DType::f16,  true,   0, 128, 256,  64, 64,  64,  3,  1, 1, true}>(),
    sized<GemmRow{"gemm.portable.f16.128x128x64.codes",     ArchClass::portable, DType::f16,  true,   0, 128, 128,  64, 64,  64,  3,  1, 2, true}>(),
    sized<GemmRow{"gemm.portable.f16.64x128x64.codes",      ArchClass::portable, DType::f16,  true,   0,  64, 128,  64, 32,  64,  4,  1, 2, true}>(),
    sized<GemmRow{"gemm.portable.f16.64x64x128.k4.codes",   ArchClass::portable, DType::f16,  true,   0,  64,  64, 128, 32,  64,  5,  4, 1, true}>(),
    sized<GemmRow{"gemm.portable.f16.16x32x128.k4.codes",   ArchClass::portable, DType::f16,  true,   0,  16,  32, 128, 16,  32,  8,  4, 2, true}>(),
    sized<GemmRow{"gemm.portable.f16.any.codes",            ArchClass::portable, DType::f16,  false,  0,  64,  64,  32, 32,  32,  2,  1, 3, true}>(),
    {"gemm.host.bf16", ArchClass::host, DType::bf16, false},
    {"gemm.host.f16",  ArchClass::host, DType::f16,  false},
};
// rows:end
// clang-format on

// Whether the vectors of eight along k are all inside a row. Copies through shared memory stop at any k by
// themselves; the bandwidth rows read straight into registers.
constexpr i64 k_multiple(const GemmRow& row) {
    return is_bandwidth(row) ? 8 : 1;
}

constexpr Rejection why_not(const GemmRow& row, const TargetFacts& target, const GemmProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    const bool as_codes = problem.out == DType::u8;
    if (row.codes && !as_codes) return dtype_rejection("out", DType::u8, problem.out);
    const bool serves_codes = row.codes || row.arch == ArchClass::host;
    if (as_codes ? !serves_codes : problem.out != DType::f32 && problem.out != row.dtype) {
        return dtype_rejection("out", row.dtype, problem.out);
    }
    if (is_bandwidth(row) && problem.m > row.max_m) return {"m", row.max_m, problem.m, "at_most"};
    if (problem.k % k_multiple(row) != 0) return {"k", k_multiple(row), problem.k, "multiple"};
    if (row.aligned && problem.alignment_bytes % 16 != 0) {
        return {"alignment", 16, problem.alignment_bytes, "multiple"};
    }
    return accepted();
}

}  // namespace warpwright
