// SPDX-License-Identifier: Apache-2.0
// scaled_gemm: the rows, their shared memory, and which problems they serve.
#pragma once

#include "kernels/legality.h"
#include "kernels/scaled_gemm/problem.h"

namespace warpwright {

// What multiplies. All of it is exact; only native e4m3 sums are less than fp32 (portable.cuh).
//   s8    mma of s8, sums in s32: every GPU from 8.0 on
//   e4m3  mma of e4m3: native on 8.9 and 12.x
//   cvt   e4m3 converted to f16 in registers, mma of f16: GPUs that convert, but multiply e4m3 as pairs of
//   such
//         products or with instructions of their own
//   bits  the same by integer arithmetic: GPUs without e4m3
enum class Multiplier : u8 { s8, e4m3, cvt, bits };

constexpr const char* enum_text(Multiplier multiplier) {
    switch (multiplier) {
        case Multiplier::s8: return "s8";
        case Multiplier::e4m3: return "e4m3";
        case Multiplier::cvt: return "cvt";
        case Multiplier::bits: return "bits";
    }
    return "?";
}

struct ScaledGemmRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    Scaling scaling = Scaling::outer;
    Multiplier multiplier = Multiplier::s8;
    bool aligned = true;         // rows of a and b start at multiples of 16 bytes
    int tile_m = 0, tile_n = 0;  // what a block computes
    int tile_k = 0;              // what it takes from memory at a time
    int warp_m = 0, warp_n = 0;  // what a warp computes
    int stages = 0;              // tiles in flight or in use
    int warps_k = 1;             // groups of warps that share out the k of a tile
    int blocks_per_sm = 1;       // registers are limited so that this many fit; shared memory may allow fewer
    RowName spill_reason{};      // not empty: some target's image of this row may spill registers, and why
    i64 shared_bytes = 0;        // dynamic; sizeof(ScaledGemmShared), filled in by sized()

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("scaling", self.scaling);
        v("multiplier", self.multiplier);
        v("aligned", self.aligned);
        v("tile_m", self.tile_m);
        v("tile_n", self.tile_n);
        v("tile_k", self.tile_k);
        v("warp_m", self.warp_m);
        v("warp_n", self.warp_n);
        v("stages", self.stages);
        v("warps_k", self.warps_k);
        v("blocks_per_sm", self.blocks_per_sm);
        v("shared_bytes", self.shared_bytes);
    }
};

constexpr int num_warps(const ScaledGemmRow& row) {
    return (row.tile_m / row.warp_m) * (row.tile_n / row.warp_n) * row.warps_k;
}
constexpr int num_threads(const ScaledGemmRow& row) {
    return num_warps(row) * 32;
}
constexpr CodeType code_of(const ScaledGemmRow& row) {
    return row.multiplier == Multiplier::s8 ? CodeType::i8 : CodeType::e4m3;
}
// Elements of k whose sum is added to another: what shares a scale, and no more than native e4m3 can add
// well.
constexpr bool has_partial_sums(const ScaledGemmRow& row) {
    return row.scaling != Scaling::outer || row.multiplier == Multiplier::e4m3;
}

// The ring of operand tiles, which the epilogue reuses for 16 rows of every warp's result.
template <ScaledGemmRow R>
struct ScaledGemmShared {
    struct Stage {
        u8 a[R.tile_m * R.tile_k];  // swizzled (tile/swizzle.h)
        u8 b[R.tile_n * R.tile_k];
    };
    union {
        Stage stage[R.stages];
        u32 result[num_warps(R)][16][R.warp_n + 8];  // fp32 or s32
    };
};

template <ScaledGemmRow R>
consteval ScaledGemmRow sized() {
    ScaledGemmRow row = R;
    row.shared_bytes = sizeof(ScaledGemmShared<R>);
    return row;
}

// clang-format off
// rows:begin
inline constexpr ScaledGemmRow kScaledGemmRows[] = {
    //                   name                                         class                scaling          multiplier        aligned tile m, n, k   warp   stages k blocks
    sized<ScaledGemmRow{"scaled_gemm.portable.i8.outer.128x256",     ArchClass::portable, Scaling::outer,  Multiplier::s8,   true,   128, 256, 128, 64, 64, 3, 1, 1}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.i8.outer.128x128",     ArchClass::portable, Scaling::outer,  Multiplier::s8,   true,   128, 128, 128, 64, 64, 3, 1, 2, {"two pointers, outside the loops"}}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.i8.outer.64x128",      ArchClass::portable, Scaling::outer,  Multiplier::s8,   true,    64, 128, 128, 32, 64, 4, 1, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.i8.outer.32x64.k4",    ArchClass::portable, Scaling::outer,  Multiplier::s8,   true,    32,  64, 256, 32, 32, 4, 4, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.i8.outer.16x64.k4",    ArchClass::portable, Scaling::outer,  Multiplier::s8,   true,    16,  64, 256, 16, 64, 4, 4, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.i8.outer.16x32.k4",    ArchClass::portable, Scaling::outer,  Multiplier::s8,   true,    16,  32, 256, 16, 32, 8, 4, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.i8.outer.any",         ArchClass::portable, Scaling::outer,  Multiplier::s8,   false,  64,  64,  64, 32, 32, 2, 1, 3}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.outer.128x256",    ArchClass::portable, Scaling::outer,  Multiplier::cvt,  true,   128, 256, 128, 64, 64, 3, 1, 1}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.outer.128x128",    ArchClass::portable, Scaling::outer,  Multiplier::cvt,  true,   128, 128, 128, 64, 64, 3, 1, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.outer.64x128",     ArchClass::portable, Scaling::outer,  Multiplier::cvt,  true,    64, 128, 128, 32, 64, 4, 1, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.outer.32x64.k4",   ArchClass::portable, Scaling::outer,  Multiplier::cvt,  true,    32,  64, 256, 32, 32, 4, 4, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.outer.16x64.k4",   ArchClass::portable, Scaling::outer,  Multiplier::cvt,  true,    16,  64, 256, 16, 64, 4, 4, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.outer.16x32.k4",   ArchClass::portable, Scaling::outer,  Multiplier::cvt,  true,    16,  32, 256, 16, 32, 8, 4, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.outer.any",        ArchClass::portable, Scaling::outer,  Multiplier::cvt,  false,  64,  64,  64, 32, 32, 2, 1, 3}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.blocks.64x128",    ArchClass::portable, Scaling::blocks, Multiplier::cvt,  true,    64, 128, 128, 32, 64, 4, 1, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.blocks.16x64.k4",  ArchClass::portable, Scaling::blocks, Multiplier::cvt,  true,    16,  64, 256, 16, 64, 4, 4, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.blocks.16x32.k4",  ArchClass::portable, Scaling::blocks, Multiplier::cvt,  true,    16,  32, 256, 16, 32, 8, 4, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.blocks.any",       ArchClass::portable, Scaling::blocks, Multiplier::cvt,  false,  64,  64,  64, 32, 32, 2, 1, 3}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.mx.128x64",        ArchClass::portable, Scaling::mx,     Multiplier::cvt,  true,   128,  64, 128, 32, 32, 4, 1, 1, {"scales of twelve rows and columns"}}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.mx.32x64",         ArchClass::portable, Scaling::mx,     Multiplier::cvt,  true,    32,  64, 128, 16, 32, 6, 1, 2, {"scales of ten rows and columns"}}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.cvt.mx.any",           ArchClass::portable, Scaling::mx,     Multiplier::cvt,  false,  64,  64, 128, 32, 32, 2, 1, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.e4m3.outer.128x128",   ArchClass::portable, Scaling::outer,  Multiplier::e4m3, true,   128, 128, 128, 64, 32, 3, 1, 1}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.e4m3.outer.64x128",    ArchClass::portable, Scaling::outer,  Multiplier::e4m3, true,    64, 128, 128, 32, 64, 4, 1, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.e4m3.outer.16x64.k4",  ArchClass::portable, Scaling::outer,  Multiplier::e4m3, true,    16,  64, 256, 16, 64, 4, 4, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.e4m3.outer.any",       ArchClass::portable, Scaling::outer,  Multiplier::e4m3, false,  64,  64,  64, 32, 32, 2, 1, 3}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.e4m3.blocks.128x128",  ArchClass::portable, Scaling::blocks, Multiplier::e4m3, true,   128, 128, 128, 64, 32, 3, 1, 1, {"two sets of sums"}}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.e4m3.blocks.64x128",   ArchClass::portable, Scaling::blocks, Multiplier::e4m3, true,    64, 128, 128, 32, 64, 4, 1, 2, {"12.x: 52 registers too few"}}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.e4m3.blocks.16x64.k4", ArchClass::portable, Scaling::blocks, Multiplier::e4m3, true,   16,  64, 256, 16, 64, 4, 4, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.e4m3.blocks.any",      ArchClass::portable, Scaling::blocks, Multiplier::e4m3, false,  64,  64,  64, 32, 32, 2, 1, 3}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.e4m3.mx.128x64",       ArchClass::portable, Scaling::mx,     Multiplier::e4m3, true,   128,  64, 128, 32, 32, 4, 1, 1, {"scales of twelve rows and columns"}}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.e4m3.mx.32x64",        ArchClass::portable, Scaling::mx,     Multiplier::e4m3, true,    32,  64, 128, 16, 32, 6, 1, 2, {"scales of ten rows and columns"}}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.e4m3.mx.any",          ArchClass::portable, Scaling::mx,     Multiplier::e4m3, false,  64,  64, 128, 32, 32, 2, 1, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.bits.outer.128x128",   ArchClass::portable, Scaling::outer,  Multiplier::bits, true,   128, 128, 128, 64, 64, 3, 1, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.bits.outer.64x128",    ArchClass::portable, Scaling::outer,  Multiplier::bits, true,    64, 128, 128, 32, 64, 4, 1, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.bits.outer.16x64.k4",  ArchClass::portable, Scaling::outer,  Multiplier::bits, true,    16,  64, 256, 16, 64, 4, 4, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.bits.outer.any",       ArchClass::portable, Scaling::outer,  Multiplier::bits, false,  64,  64,  64, 32, 32, 2, 1, 3}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.bits.blocks.128x128",  ArchClass::portable, Scaling::blocks, Multiplier::bits, true,   128, 128, 128, 64, 32, 3, 1, 1, {"two sets of sums"}}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.bits.blocks.64x128",   ArchClass::portable, Scaling::blocks, Multiplier::bits, true,    64, 128, 128, 32, 64, 4, 1, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.bits.blocks.16x64.k4", ArchClass::portable, Scaling::blocks, Multiplier::bits, true,   16,  64, 256, 16, 64, 4, 4, 2}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.bits.blocks.any",      ArchClass::portable, Scaling::blocks, Multiplier::bits, false,  64,  64,  64, 32, 32, 2, 1, 3}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.bits.mx.128x64",       ArchClass::portable, Scaling::mx,     Multiplier::bits, true,   128,  64, 128, 32, 32, 4, 1, 1, {"scales of twelve rows and columns"}}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.bits.mx.32x64",        ArchClass::portable, Scaling::mx,     Multiplier::bits, true,    32,  64, 128, 16, 32, 6, 1, 2, {"scales of ten rows and columns"}}>(),
    sized<ScaledGemmRow{"scaled_gemm.portable.bits.mx.any",          ArchClass::portable, Scaling::mx,     Multiplier::bits, false,  64,  64, 128, 32, 32, 2, 1, 2}>(),
    {"scaled_gemm.host.i8",          ArchClass::host, Scaling::outer,  Multiplier::s8,   false},
    {"scaled_gemm.host.e4m3.outer",  ArchClass::host, Scaling::outer,  Multiplier::e4m3, false},
    {"scaled_gemm.host.e4m3.blocks", ArchClass::host, Scaling::blocks, Multiplier::e4m3, false},
    {"scaled_gemm.host.e4m3.mx",     ArchClass::host, Scaling::mx,     Multiplier::e4m3, false},
};
// rows:end
// clang-format on

// What e4m3 is multiplied by on a build target: data/isa.json, "mma.m16n8k32.e4m3.e4m3.f32" and
// "cvt.f16x2.e4m3x2". Of the targets whose GPUs differ the least of them counts.
constexpr Multiplier e4m3_multiplier(BuildTarget target) {
    switch (target) {
        case BuildTarget::sm_89:
        case BuildTarget::sm_120f: return Multiplier::e4m3;
        case BuildTarget::sm_90a:
        case BuildTarget::sm_100f: return Multiplier::cvt;
        default: return Multiplier::bits;
    }
}

// These two hide the templates of legality.h, which know no multipliers.
constexpr bool image_fits(const ScaledGemmRow& row, BuildTarget target) {
    if (image_misfit(row, target)) return false;
    return row.arch == ArchClass::host || row.multiplier == Multiplier::s8 ||
           row.multiplier == e4m3_multiplier(target);
}

constexpr Rejection target_misfit(const ScaledGemmRow& row, const TargetFacts& target) {
    if (const Rejection rejection = target_misfit<ScaledGemmRow>(row, target)) return rejection;
    if (image_fits(row, target.build_target)) return accepted();
    switch (row.multiplier) {
        case Multiplier::e4m3: return {"native_e4m3_products", 1, 0, "bool"};
        case Multiplier::cvt: {
            const bool native = e4m3_multiplier(target.build_target) == Multiplier::e4m3;
            if (native) return {"native_e4m3_products", 0, 1, "bool"};
            return {"e4m3_conversion", 89, target.compute_capability, "sm_from"};
        }
        default: return {"e4m3_conversion", 0, 1, "bool"};
    }
}

// Codes as results: two of mx's rows have no registers for them on 10.x, and would spill some.
constexpr bool makes_codes(const ScaledGemmRow& row, BuildTarget target) {
    return row.scaling != Scaling::mx || row.warp_m <= 16 || target != BuildTarget::sm_100f;
}

constexpr Rejection why_not(const ScaledGemmRow& row, const TargetFacts& target,
                            const ScaledGemmProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (code_of(row) != problem.code)
        return {code_of(row) == CodeType::i8 ? "i8_codes" : "e4m3_codes", 1, 0, "bool"};
    if (row.scaling != problem.scaling) {
        constexpr const char* kRules[] = {"scales_of_rows_or_tensors", "scales_of_blocks", "mx_scales"};
        return {kRules[static_cast<int>(row.scaling)], 1, 0, "bool"};
    }
    if (problem.dtype != DType::bf16 && problem.dtype != DType::f16)
        return dtype_rejection("dtype", DType::bf16, problem.dtype);
    const bool as_codes = problem.out == DType::u8;
    if (as_codes ? !makes_codes(row, target.build_target)
                 : problem.out != DType::f32 && problem.out != problem.dtype)
        return dtype_rejection("out", problem.dtype, problem.out);
    if (as_codes && problem.grouping != Grouping::none) return {"grouping", 0, 1, "bool"};
    if (row.multiplier == Multiplier::s8 && problem.k >= kLargestIntegerK)
        return {"k", kLargestIntegerK - 1, problem.k, "at_most"};
    if (row.arch == ArchClass::host) return accepted();
    if (!tile_fits_groups(row.tile_m, problem.grouping)) return {"tile_m", kGroupRows, row.tile_m, "at_most"};
    if (row.aligned && problem.alignment_bytes % 16 != 0)
        return {"alignment", 16, problem.alignment_bytes, "multiple"};
    return accepted();
}

}  // namespace warpwright
