// SPDX-License-Identifier: Apache-2.0
// Scores of an indexer: the rows and which problems they serve.
#pragma once

#include "kernels/attention/index_logits/problem.h"
#include "kernels/legality.h"

namespace warpwright {

struct IndexLogitsRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    KvFormat kv_format = KvFormat::same;
    int kv_tile = 0;  // keys of a block, 32 of each warp
    int q_tile = 0;   // queries of a block, one after another
    bool coded_queries = false;
    i64 shared_bytes = 0;  // dynamic

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("kv_format", self.kv_format);
        v("kv_tile", self.kv_tile);
        v("q_tile", self.q_tile);
        v("coded_queries", self.coded_queries);
        v("shared_bytes", self.shared_bytes);
    }
};

constexpr int kIndexWarpKeys = 32;
constexpr int kIndexHeads = 32;  // of a query in shared memory at once

constexpr int num_threads(const IndexLogitsRow& row) {
    return row.kv_tile / kIndexWarpKeys * 32;
}
constexpr bool reads_codes(const IndexLogitsRow& row) {
    return row.kv_format != KvFormat::same;
}

// clang-format off
// rows:begin
inline constexpr IndexLogitsRow kIndexLogitsRows[] = {
    // name                             class                keys                keys, queries of a block
    {"index_logits.portable.bf16",      ArchClass::portable, KvFormat::same,     256, 32},
    {"index_logits.portable.e4m3",      ArchClass::portable, KvFormat::fp8_e4m3, 256, 32, true},
    {"index_logits.portable.bf16_e4m3", ArchClass::portable, KvFormat::fp8_e4m3, 256, 32},
    {"index_logits.host",               ArchClass::host},
};
// rows:end
// clang-format on

constexpr Rejection why_not(const IndexLogitsRow& row, const TargetFacts& target,
                            const IndexLogitsProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.arch != ArchClass::host && row.kv_format != problem.kv_format)
        return {kv_format_name(reads_codes(row) ? row.kv_format : problem.kv_format),
                reads_codes(row) ? 1 : 0, reads_codes(row) ? 0 : 1, "bool"};
    if (row.arch != ArchClass::host && row.coded_queries != problem.coded_queries)
        return {"coded_queries", row.coded_queries ? 1 : 0, problem.coded_queries ? 1 : 0, "bool"};
    if (problem.kv_format == KvFormat::same && problem.coded_queries) return {"coded_queries", 0, 1, "bool"};
    if (problem.kv_format == KvFormat::fp8_e5m2) return {"fp8_e5m2", 0, 1, "bool"};
    if (problem.heads < 1) return {"heads", 1, problem.heads, "at_least"};
    if (problem.page_size < 1 || (problem.page_size & (problem.page_size - 1)) != 0)
        return {"page_size", 0, problem.page_size, "power_of_two"};
    if (row.arch != ArchClass::host && problem.alignment_bytes % 16 != 0)
        return {"alignment", 16, problem.alignment_bytes, "multiple"};
    return accepted();
}

}  // namespace warpwright
