// SPDX-License-Identifier: Apache-2.0
// grouped_gemm: the rows, their shared memory, and which problems they serve.
#pragma once

#include "kernels/grouped_gemm/problem.h"
#include "kernels/legality.h"

namespace warpwright {

// Three kinds: tile rows (portable.cuh; `aligned` or not), slots rows (slots.cuh; max_m > 0), host rows.
struct GroupedGemmRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::bf16;
    bool aligned = true;         // rows of a and b start at multiples of 16 bytes
    int max_m = 0;               // slots rows: tokens
    int tile_m = 0;              // what a block computes; tile_n: rows of weights, half of them of the gate
    int tile_n = 0, tile_k = 0;  // where there is one; tile_k: taken from memory at a time
    int warp_m = 0, warp_n = 0;  // what a warp computes
    int stages = 0;              // tiles in flight or in use: in shared memory, or in registers
    int warps_k = 1;             // warps of a block that split k
    int blocks_per_sm = 1;       // registers are limited so that this many fit; shared memory may allow fewer
    RowName spill_reason{};      // not empty: some target's image of this row may spill registers, and why
    i64 shared_bytes = 0;        // dynamic; sizeof(GroupedGemmShared), filled in by sized()

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
        v("shared_bytes", self.shared_bytes);
    }
};

constexpr bool is_slots(const GroupedGemmRow& row) {
    return row.max_m > 0;
}
constexpr int num_warps(const GroupedGemmRow& row) {
    return (row.tile_m / row.warp_m) * (row.tile_n / row.warp_n) * row.warps_k;
}
constexpr int num_threads(const GroupedGemmRow& row) {
    return num_warps(row) * 32;
}

// Slots rows: choices of all tokens together, and groups.
constexpr int kMostSlots = 256;
constexpr int kMostSlotGroups = 1024;

// Tile rows: the ring of operand tiles, which the epilogue reuses for 16 rows of every warp's result.
template <GroupedGemmRow R, bool slots = is_slots(R)>
struct GroupedGemmShared {
    struct Stage {
        u16 a[R.tile_m * R.tile_k];  // swizzled (tile/swizzle.h)
        u16 b[R.tile_n * R.tile_k];
    };
    union {
        Stage stage[R.stages];
        float result[num_warps(R)][16][R.warp_n + 8];  // + 8: no bank conflicts
    };
};

// Slots rows: who chose what, and every warp's partial sums.
template <GroupedGemmRow R>
struct GroupedGemmShared<R, true> {
    u32 chosen[kMostSlotGroups / 32];  // bit g % 32 of word g / 32: some token chose group g
    i32 ids[kMostSlots];               // -1: there is no such group, or the token has chosen it before
    float weights[kMostSlots];
    u16 groups[kMostSlots];          // that are chosen, ascending
    u16 slot[kMostSlots][R.tile_m];  // of the n-th of them and a token; kNoSlot
    float partial[R.warps_k][R.tile_m][R.tile_n + 1];
};
constexpr u16 kNoSlot = 0xffff;

template <GroupedGemmRow R>
consteval GroupedGemmRow sized() {
    GroupedGemmRow row = R;
    row.shared_bytes = sizeof(GroupedGemmShared<R>);
    return row;
}

// clang-format off
// rows:begin
inline constexpr GroupedGemmRow kGroupedGemmRows[] = {
    //                    name                                        class                dtype        aligned max_m  m, n, k of tile  warp  stages warps_k blocks
    sized<GroupedGemmRow{"grouped_gemm.portable.bf16.128x256x64",    ArchClass::portable, DType::bf16, true,   0, 128, 256,  64, 64,  64,  3,  1, 1}>(),
    sized<GroupedGemmRow{"grouped_gemm.portable.bf16.128x128x64",    ArchClass::portable, DType::bf16, true,   0, 128, 128,  64, 64,  64,  3,  1, 2, {"12.x: 22 registers too few"}}>(),
    sized<GroupedGemmRow{"grouped_gemm.portable.bf16.64x128x64",     ArchClass::portable, DType::bf16, true,   0,  64, 128,  64, 32,  64,  4,  1, 2}>(),
    sized<GroupedGemmRow{"grouped_gemm.portable.bf16.32x64x128.k4",  ArchClass::portable, DType::bf16, true,   0,  32,  64, 128, 32,  32,  4,  4, 2}>(),
    sized<GroupedGemmRow{"grouped_gemm.portable.bf16.16x64x128.k4",  ArchClass::portable, DType::bf16, true,   0,  16,  64, 128, 16,  64,  5,  4, 2}>(),
    sized<GroupedGemmRow{"grouped_gemm.portable.bf16.16x32x128.k4",  ArchClass::portable, DType::bf16, true,   0,  16,  32, 128, 16,  32,  8,  4, 2}>(),
    sized<GroupedGemmRow{"grouped_gemm.portable.bf16.any",           ArchClass::portable, DType::bf16, false,  0,  16,  64, 128, 16,  64,  2,  4, 2}>(),
    sized<GroupedGemmRow{"grouped_gemm.slots.bf16.m8.n16",           ArchClass::portable, DType::bf16, true,   8,   8,  16, 128,  8,  16,  2,  8, 1}>(),
    sized<GroupedGemmRow{"grouped_gemm.slots.bf16.m8.n16.k4",        ArchClass::portable, DType::bf16, true,   8,   8,  16,  64,  8,  16,  3,  4, 4}>(),
    sized<GroupedGemmRow{"grouped_gemm.slots.bf16.m8.n32.k4",        ArchClass::portable, DType::bf16, true,   8,   8,  32,  64,  8,  32,  2,  4, 3}>(),
    sized<GroupedGemmRow{"grouped_gemm.slots.bf16.m16.n16",          ArchClass::portable, DType::bf16, true,  16,  16,  16,  64, 16,  16,  2,  8, 2}>(),
    sized<GroupedGemmRow{"grouped_gemm.portable.f16.128x256x64",     ArchClass::portable, DType::f16,  true,   0, 128, 256,  64, 64,  64,  3,  1, 1}>(),
    sized<GroupedGemmRow{"grouped_gemm.portable.f16.128x128x64",     ArchClass::portable, DType::f16,  true,   0, 128, 128,  64, 64,  64,  3,  1, 2, {"12.x: 22 registers too few"}}>(),
    sized<GroupedGemmRow{"grouped_gemm.portable.f16.64x128x64",      ArchClass::portable, DType::f16,  true,   0,  64, 128,  64, 32,  64,  4,  1, 2}>(),
    sized<GroupedGemmRow{"grouped_gemm.portable.f16.32x64x128.k4",   ArchClass::portable, DType::f16,  true,   0,  32,  64, 128, 32,  32,  4,  4, 2}>(),
    sized<GroupedGemmRow{"grouped_gemm.portable.f16.16x64x128.k4",   ArchClass::portable, DType::f16,  true,   0,  16,  64, 128, 16,  64,  5,  4, 2}>(),
    sized<GroupedGemmRow{"grouped_gemm.portable.f16.any",            ArchClass::portable, DType::f16,  false,  0,  16,  64, 128, 16,  64,  2,  4, 2}>(),
    sized<GroupedGemmRow{"grouped_gemm.slots.f16.m8.n16",            ArchClass::portable, DType::f16,  true,   8,   8,  16,  64,  8,  16,  3,  8, 2}>(),
    sized<GroupedGemmRow{"grouped_gemm.slots.f16.m16.n16",           ArchClass::portable, DType::f16,  true,  16,  16,  16,  64, 16,  16,  2,  8, 2}>(),
    {"grouped_gemm.host.bf16", ArchClass::host, DType::bf16, false},
    {"grouped_gemm.host.f16",  ArchClass::host, DType::f16,  false},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const GroupedGemmRow& row, const TargetFacts& target,
                            const GroupedGemmProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    if (problem.out != DType::f32 && problem.out != row.dtype)
        return dtype_rejection("out", row.dtype, problem.out);
    if (row.arch == ArchClass::host) return accepted();
    if (is_slots(row) != (problem.by != RowsBy::rows)) {
        return {is_slots(row) ? "choices_of_tokens" : "groups_of_rows", 1, 0, "bool"};
    }
    if (is_slots(row)) {
        if (problem.m > row.max_m) return {"m", row.max_m, problem.m, "at_most"};
        const i64 slots = problem.m * problem.top_k;
        if (slots > kMostSlots) return {"slots", kMostSlots, slots, "at_most"};
        if (problem.groups > kMostSlotGroups) return {"groups", kMostSlotGroups, problem.groups, "at_most"};
        if (problem.k % 8 != 0) return {"k", 8, problem.k, "multiple"};
    } else if (problem.grouping == Grouping::contiguous && problem.group_rows % row.tile_m != 0) {
        return {"group_rows", row.tile_m, problem.group_rows, "multiple"};
    }
    if (row.aligned && problem.alignment_bytes % 16 != 0)
        return {"alignment", 16, problem.alignment_bytes, "multiple"};
    return accepted();
}

}  // namespace warpwright
