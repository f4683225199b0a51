// SPDX-License-Identifier: Apache-2.0
// quantized_gemm: traits for the dispatcher (dispatch/choose.h says what each member means), cost, launch.
#pragma once

#include <span>
#include <string_view>

#include "kernels/cost.h"
#include "kernels/gemm/host_groups.h"
#include "kernels/quantized_gemm/rows.h"
#include "warpwright/device.h"

namespace warpwright {

// How fields of this type are written and read (dispatch/fields.h).
std::string enum_text(WeightFormat format);
Status parse_enum(std::string_view name, std::string_view text, WeightFormat& format);

// What a block asks for: of a wide row at least what leaves an SM no place for one block more than
// blocks_per_sm. The next launch's blocks, which come early, would gather where there is one.
constexpr i64 launch_shared_bytes(const QuantizedGemmRow& row, const TargetFacts& target) {
    if (!row.wide) return row.shared_bytes;
    const i64 place = target.shared_per_sm_bytes / (row.blocks_per_sm + 1) - kReservedSharedBytes;
    const i64 smallest = place / 128 * 128 + 128;
    return row.shared_bytes > smallest ? row.shared_bytes : smallest;
}

struct QuantizedGemmOp {
    static constexpr const char* kName = "quantized_gemm";
    static constexpr const char* kFolder = "src/kernels/quantized_gemm";
    using Problem = QuantizedGemmProblem;
    using Row = QuantizedGemmRow;
    using Args = QuantizedGemmArgs;

    static std::span<const Row> rows() { return kQuantizedGemmRows; }
    static bool image_fits(const Row& row, BuildTarget target) { return warpwright::image_fits(row, target); }
    static Rejection why_not(const Row& row, const TargetFacts& target, const Problem& problem) {
        return warpwright::why_not(row, target, problem);
    }
    static Prediction predict(const Row& row, const TargetFacts& target, const Problem& problem,
                              const CostConstants& costs = kCosts);
    static LaunchConfig launch_config(const Row& row, const TargetFacts& target, const Problem& problem) {
        if (row.arch == ArchClass::host) return {};
        const i64 blocks =
            num_blocks(problem.m, problem.n, problem.grouping, problem.groups, row.tile_m, row.tile_n);
        return {.grid = {static_cast<u32>(blocks)},
                .block = {static_cast<u32>(num_threads(row))},
                .shared_bytes = static_cast<u32>(launch_shared_bytes(row, target))};
    }
    static HostFunction host_function(const Row& row);
};

}  // namespace warpwright
