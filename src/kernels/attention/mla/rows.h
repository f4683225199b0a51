// SPDX-License-Identifier: Apache-2.0
// Multi-head latent attention: the rows, their shared memory, and which problems they serve.
#pragma once

#include "kernels/attention/mla/problem.h"
#include "kernels/legality.h"

namespace warpwright {

constexpr int kMlaPages = 1, kMlaLists = 2;

struct MlaRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::bf16;
    int tile_rows = 0;   // packed rows (query, head) of a block
    int kv_tile = 0;     // keys that a block reads per step
    int stages = 0;      // steps in shared memory; from 3 on, scores are a step ahead of values
    int row_warps = 1;   // warps that divide the rows between them when scores are summed; the others
                         // divide keys and depth
    int min_blocks = 1;  // that an SM must be able to hold at once: what bounds a thread's registers
    KvFormat kv_format = KvFormat::same;  // fp8_e4m3: of records, or with one_scale of codes alone
    int key_sources = 3;                  // kMlaPages, kMlaLists: where a block's keys may come from
    RowName spill_reason{};  // not empty: some target's image of this row may spill registers, and why
    bool one_scale = false;
    i64 shared_bytes = 0;  // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("dtype", self.dtype);
        v("tile_rows", self.tile_rows);
        v("kv_tile", self.kv_tile);
        v("stages", self.stages);
        v("row_warps", self.row_warps);
        v("min_blocks", self.min_blocks);
        v("kv_format", self.kv_format);
        v("key_sources", self.key_sources);
        v("one_scale", self.one_scale);
        v("shared_bytes", self.shared_bytes);
    }
};

constexpr int kMlaWarps = 8, kMlaThreads = kMlaWarps * 32;
constexpr int kMlaCopiedRows = 4;  // of a step, by a warp
constexpr int kMlaDepthWarps = 4;  // that divide the 576 columns of a score between them

constexpr int key_warps(const MlaRow& row) {
    return kMlaWarps / kMlaDepthWarps / row.row_warps;
}
constexpr bool reads_codes(const MlaRow& row) {
    return row.kv_format != KvFormat::same;
}
// What a latent row takes in the cache of a row or problem.
template <class RowOrProblem>
constexpr int latent_bytes(const RowOrProblem& of) {
    if (of.kv_format == KvFormat::same) return kMlaKeyDim * 2;
    return of.one_scale ? kMlaKeyDim : kMlaRecordBytes;
}
// Whether one of the two groups copies for both.
constexpr bool copies_by_group(const MlaRow& row) {
    return row.key_sources == kMlaPages && row.row_warps == 2 && row.stages > 2;
}

// Steps as they are in memory; of codes, also the numbers of the one that is attended to.
template <MlaRow R, bool codes = reads_codes(R)>
struct MlaKeys {
    alignas(128) u16 keys[R.stages][R.kv_tile * kMlaKeyDim];
};
template <MlaRow R>
struct MlaKeys<R, true> {
    alignas(128) u8 codes[R.stages][R.kv_tile * latent_bytes(R)];
    alignas(128) u16 keys[1][R.kv_tile * kMlaKeyDim];
    float scale;  // of all codes, where there is one
};

// What a block works on: the tile's first packed row (query, head), the sequence's number of them, and the
// keys of the tile and split. With lists a query is a sequence.
struct MlaWork {
    int heads;
    int sequence, split;
    int first_row, num_rows;
    int q_start, q_len, kv_len;
    int kv_begin, kv_end;
};

// 16-byte vectors of queries, keys and weights are swizzled: tile/swizzle.h.
template <MlaRow R>
struct MlaShared : MlaKeys<R> {
    alignas(128) float scores[kMlaDepthWarps][R.tile_rows * R.kv_tile];  // of a share of the depth
    alignas(128) u16 weights[R.tile_rows * R.kv_tile];
    MlaWork work;
    float factors[R.tile_rows];       // what a row's sums are multiplied by before this step's are added
    u8 present[R.stages][kMlaWarps];  // of lists: bits of the rows that a warp has copied
};

template <MlaRow R>
consteval MlaRow sized() {
    MlaRow row = R;
    row.shared_bytes = sizeof(MlaShared<R>);
    return row;
}

// 8 to 64 bytes beyond a thread's 255 registers on some targets. Lists of keys in the same rows as pages
// would make 64 rows spill more and take 14 % longer.
inline constexpr RowName kMlaSpills{"outputs and queries of 64 rows take 200 of 255"};

// clang-format off
// rows:begin
inline constexpr MlaRow kMlaRows[] = {
    //          name                     class                dtype      rows  kv stages row warps, blocks
    sized<MlaRow{"mla.portable.bf16.r16", ArchClass::portable, DType::bf16, 16, 32, 2, 1, 2}>(),
    sized<MlaRow{"mla.portable.bf16.r64", ArchClass::portable, DType::bf16, 64, 32, 3, 2, 1, KvFormat::same, kMlaPages, kMlaSpills}>(),
    sized<MlaRow{"mla.portable.f16.r16",  ArchClass::portable, DType::f16,  16, 32, 2, 1, 2}>(),
    sized<MlaRow{"mla.portable.f16.r64",  ArchClass::portable, DType::f16,  64, 32, 3, 2, 1, KvFormat::same, kMlaPages, kMlaSpills}>(),
    sized<MlaRow{"mla.portable.bf16.e4m3.r16", ArchClass::portable, DType::bf16, 16, 32, 2, 1, 2, KvFormat::fp8_e4m3}>(),
    sized<MlaRow{"mla.portable.bf16.e4m3.r64", ArchClass::portable, DType::bf16, 64, 32, 2, 2, 1, KvFormat::fp8_e4m3, kMlaPages, kMlaSpills}>(),
    sized<MlaRow{"mla.portable.bf16.r64.lists", ArchClass::portable, DType::bf16, 64, 32, 3, 2, 1, KvFormat::same, kMlaLists, kMlaSpills}>(),
    sized<MlaRow{"mla.portable.f16.r64.lists",  ArchClass::portable, DType::f16,  64, 32, 3, 2, 1, KvFormat::same, kMlaLists, kMlaSpills}>(),
    sized<MlaRow{"mla.portable.bf16.e4m3.r64.lists", ArchClass::portable, DType::bf16, 64, 32, 2, 2, 1, KvFormat::fp8_e4m3, kMlaLists, kMlaSpills}>(),
    sized<MlaRow{"mla.portable.bf16.codes.r16", ArchClass::portable, DType::bf16, 16, 32, 2, 1, 2, KvFormat::fp8_e4m3, kMlaPages | kMlaLists, {}, true}>(),
    sized<MlaRow{"mla.portable.bf16.codes.r64", ArchClass::portable, DType::bf16, 64, 32, 2, 2, 1, KvFormat::fp8_e4m3, kMlaPages, {}, true}>(),
    sized<MlaRow{"mla.portable.bf16.codes.r64.lists", ArchClass::portable, DType::bf16, 64, 32, 2, 2, 1, KvFormat::fp8_e4m3, kMlaLists, kMlaSpills, true}>(),
    sized<MlaRow{"mla.portable.f16.codes.r16",  ArchClass::portable, DType::f16,  16, 32, 2, 1, 2, KvFormat::fp8_e4m3, kMlaPages | kMlaLists, {}, true}>(),
    {"mla.host.bf16", ArchClass::host, DType::bf16},
    {"mla.host.f16",  ArchClass::host, DType::f16},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const MlaRow& row, const TargetFacts& target, const MlaProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    if (row.arch != ArchClass::host && row.kv_format != problem.kv_format)
        return {kv_format_name(reads_codes(row) ? row.kv_format : problem.kv_format),
                reads_codes(row) ? 1 : 0, reads_codes(row) ? 0 : 1, "bool"};
    if (reads_codes(row) && row.one_scale != problem.one_scale)
        return {"one_scale", row.one_scale ? 1 : 0, problem.one_scale ? 1 : 0, "bool"};
    const int source = problem.indexed ? kMlaLists : kMlaPages;
    if ((row.key_sources & source) == 0)
        return {"indexed", problem.indexed ? 0 : 1, problem.indexed ? 1 : 0, "bool"};
    if (problem.kv_format == KvFormat::fp8_e5m2) return {"fp8_e5m2", 0, 1, "bool"};
    if (problem.heads < 1) return {"heads", 1, problem.heads, "at_least"};
    if (problem.page_size < 1 || (problem.page_size & (problem.page_size - 1)) != 0)
        return {"page_size", 0, problem.page_size, "power_of_two"};
    if (row.arch != ArchClass::host && problem.alignment_bytes % 16 != 0)
        return {"alignment", 16, problem.alignment_bytes, "multiple"};
    return accepted();
}

// ---- What preparation derives from the capacities.

constexpr i64 total_q_tokens(const MlaProblem& problem) {
    return problem.q_tokens > 0 ? problem.q_tokens : problem.sequences * problem.max_q_len;
}

// Blocks over the packed rows of one sequence.
constexpr i64 num_row_tiles(const MlaRow& row, const MlaProblem& problem) {
    return ceil_div(problem.max_q_len * problem.heads, row.tile_rows);
}

// Bytes of workspace: partial outputs, then their log-sum-exps.
constexpr i64 partial_bytes(const MlaProblem& problem, i64 num_splits) {
    if (num_splits <= 1) return 0;
    return num_splits * total_q_tokens(problem) * problem.heads * (kMlaValueDim + 1) * 4;
}

// The most splits whose partial results this much workspace holds; at least 1, which needs none.
constexpr i64 max_splits_in(const MlaProblem& problem, i64 workspace_bytes) {
    const i64 splits = workspace_bytes / (total_q_tokens(problem) * problem.heads * (kMlaValueDim + 1) * 4);
    return splits > 1 ? splits : 1;
}

}  // namespace warpwright
