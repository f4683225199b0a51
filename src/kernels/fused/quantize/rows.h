// SPDX-License-Identifier: Apache-2.0
// Quantisation: the rows and which problems they serve.
#pragma once

#include "kernels/fused/quantize/problem.h"
#include "kernels/legality.h"

namespace warpwright {

// Who finds the amax of a group: a warp that reads it twice, some lanes of a warp, a block, or a thread (for
// 32 elements two of them). All but the first keep it in registers. A scale that is given is nobody's to
// find, and lanes' as well.
enum class GroupOf : u8 { warp, lanes, block, thread };

constexpr const char* enum_text(GroupOf group) {
    switch (group) {
        case GroupOf::warp: return "warp";
        case GroupOf::lanes: return "lanes";
        case GroupOf::block: return "block";
        case GroupOf::thread: return "thread";
    }
    return "?";
}

struct QuantizeRow {
    RowName name;
    ArchClass arch = ArchClass::portable;
    DType dtype = DType::bf16;
    GroupOf group = GroupOf::warp;
    int threads = 0;
    int vectors = 0;           // of 16 bytes a thread keeps in registers; 0: any size, element by element
    bool fp8_convert = false;  // with cvt to fp8, instead of integer arithmetic: from 8.9 on
    ScaleType scale = ScaleType::f32;  // where a thread finds the amax: codes are e2m1, scales e4m3, or e8m0
    i64 group_columns = 0;             // by either rule, of this many columns
    i64 shared_bytes = 0;              // dynamic
    RowName spill_reason{};  // not empty: some target's image of this row may spill registers, and why

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("name", self.name);
        v("arch", self.arch);
        v("dtype", self.dtype);
        v("group", self.group);
        v("threads", self.threads);
        v("vectors", self.vectors);
        v("fp8_convert", self.fp8_convert);
        v("scale", self.scale);
        v("group_columns", self.group_columns);
        v("shared_bytes", self.shared_bytes);
    }
};

// clang-format off
// rows:begin
inline constexpr QuantizeRow kQuantizeRows[] = {
    // name                            class                dtype        group           threads vectors cvt
    {"quantize.portable.bf16.any",     ArchClass::portable, DType::bf16, GroupOf::warp,  128, 0, false, ScaleType::f32, 0, 0, {"around a 64-bit division"}},
    {"quantize.portable.f16.any",      ArchClass::portable, DType::f16,  GroupOf::warp,  128, 0, false, ScaleType::f32, 0, 0, {"around a 64-bit division"}},
    {"quantize.lanes.bf16.t256v4",      ArchClass::portable, DType::bf16, GroupOf::lanes, 256, 4, false, ScaleType::f32, 0, 0, {"two registers short of five blocks an SM"}},
    {"quantize.lanes.bf16.t256v4.cvt",  ArchClass::portable, DType::bf16, GroupOf::lanes, 256, 4, true, ScaleType::f32, 0, 0, {"two registers short of five blocks an SM"}},
    {"quantize.lanes.f16.t256v4",       ArchClass::portable, DType::f16,  GroupOf::lanes, 256, 4, false, ScaleType::f32, 0, 0, {"two registers short of five blocks an SM"}},
    {"quantize.lanes.f16.t256v4.cvt",   ArchClass::portable, DType::f16,  GroupOf::lanes, 256, 4, true, ScaleType::f32, 0, 0, {"two registers short of five blocks an SM"}},
    {"quantize.groups.bf16.nvfp4.t128v2",           ArchClass::portable, DType::bf16, GroupOf::thread, 128, 2, false, ScaleType::e4m3, 16},
    {"quantize.groups.bf16.nvfp4.t128v2.cvt",       ArchClass::portable, DType::bf16, GroupOf::thread, 128, 2, true, ScaleType::e4m3, 16},
    {"quantize.groups.bf16.mxfp4.t128v2",           ArchClass::portable, DType::bf16, GroupOf::thread, 128, 2, false, ScaleType::e8m0, 32},
    {"quantize.groups.bf16.mxfp4.t128v2.cvt",       ArchClass::portable, DType::bf16, GroupOf::thread, 128, 2, true, ScaleType::e8m0, 32},
    {"quantize.groups.f16.nvfp4.t128v2",            ArchClass::portable, DType::f16,  GroupOf::thread, 128, 2, false, ScaleType::e4m3, 16},
    {"quantize.groups.f16.nvfp4.t128v2.cvt",        ArchClass::portable, DType::f16,  GroupOf::thread, 128, 2, true, ScaleType::e4m3, 16},
    {"quantize.groups.f16.mxfp4.t128v2",            ArchClass::portable, DType::f16,  GroupOf::thread, 128, 2, false, ScaleType::e8m0, 32},
    {"quantize.groups.f16.mxfp4.t128v2.cvt",        ArchClass::portable, DType::f16,  GroupOf::thread, 128, 2, true, ScaleType::e8m0, 32},
    {"quantize.block.bf16.t128v8",      ArchClass::portable, DType::bf16, GroupOf::block, 128, 8},
    {"quantize.block.bf16.t128v8.cvt",  ArchClass::portable, DType::bf16, GroupOf::block, 128, 8, true},
    {"quantize.block.f16.t128v8",       ArchClass::portable, DType::f16,  GroupOf::block, 128, 8},
    {"quantize.block.f16.t128v8.cvt",   ArchClass::portable, DType::f16,  GroupOf::block, 128, 8, true},
    {"quantize.block.bf16.t256v8",      ArchClass::portable, DType::bf16, GroupOf::block, 256, 8},
    {"quantize.block.bf16.t256v8.cvt",  ArchClass::portable, DType::bf16, GroupOf::block, 256, 8, true},
    {"quantize.block.f16.t256v8",       ArchClass::portable, DType::f16,  GroupOf::block, 256, 8},
    {"quantize.block.f16.t256v8.cvt",   ArchClass::portable, DType::f16,  GroupOf::block, 256, 8, true},
    {"quantize.block.bf16.t512v8",      ArchClass::portable, DType::bf16, GroupOf::block, 512, 8},
    {"quantize.block.bf16.t512v8.cvt",  ArchClass::portable, DType::bf16, GroupOf::block, 512, 8, true},
    {"quantize.block.f16.t512v8",       ArchClass::portable, DType::f16,  GroupOf::block, 512, 8},
    {"quantize.block.f16.t512v8.cvt",   ArchClass::portable, DType::f16,  GroupOf::block, 512, 8, true},
    {"quantize.host.bf16",             ArchClass::host,     DType::bf16},
    {"quantize.host.f16",              ArchClass::host,     DType::f16},
};
// rows:end
// clang-format on

constexpr i64 block_elements(const QuantizeRow& row) {
    return i64{row.threads} * row.vectors * kVectorElements;
}

// These two hide the templates of legality.h, which know no conversions.
constexpr bool image_fits(const QuantizeRow& row, BuildTarget target) {
    if (image_misfit(row, target)) return false;
    return !row.fp8_convert || facts_of(target).first_capability >= kFp8Capability;
}

constexpr Rejection target_misfit(const QuantizeRow& row, const TargetFacts& target) {
    if (const Rejection rejection = target_misfit<QuantizeRow>(row, target)) return rejection;
    if (!image_fits(row, target.build_target)) {
        return {"fp8_convert", kFp8Capability, target.compute_capability, "sm_from"};
    }
    return accepted();
}

constexpr Rejection why_not(const QuantizeRow& row, const TargetFacts& target,
                            const QuantizeProblem& problem) {
    if (const Rejection rejection = target_misfit(row, target)) return rejection;
    if (row.dtype != problem.dtype) return dtype_rejection("dtype", row.dtype, problem.dtype);
    if (row.vectors == 0) return accepted();
    if (problem.alignment_bytes % 16 != 0) return {"alignment", 16, problem.alignment_bytes, "multiple"};
    if (problem.columns % kVectorElements != 0)
        return {"columns", kVectorElements, problem.columns, "multiple"};
    if (problem.given_scale || problem.amax_parts > 0) {
        if (row.group == GroupOf::lanes) return accepted();
        return {problem.given_scale ? "given_scale" : "amax_parts", 0, 1, ""};
    }
    if (row.group == GroupOf::thread) {
        if (problem.code != CodeType::e2m1) return {"codes_e2m1", 1, 0, "bool"};
        const bool is_exponent = problem.scale == ScaleType::e8m0 || problem.scale == ScaleType::e8m0_up;
        if (row.scale == ScaleType::e4m3 ? problem.scale != row.scale : !is_exponent)
            return {row.scale == ScaleType::e4m3 ? "scales_e4m3" : "scales_e8m0", 1, 0, "bool"};
        if (problem.group_columns != row.group_columns)
            return {"group_columns", row.group_columns, problem.group_columns, ""};
        return accepted();
    }
    if (row.group == GroupOf::lanes) {
        if (problem.group_rows != 1) return {"group_rows", 1, problem.group_rows, ""};
        if (problem.group_columns > 256) return {"group_columns", 256, problem.group_columns, "at_most"};
        if (problem.group_columns < 2 * kVectorElements)
            return {"group_columns", 2 * kVectorElements, problem.group_columns, "at_least"};
        if (!is_power_of_two(problem.group_columns))
            return {"group_columns", 0, problem.group_columns, "power_of_two"};
        if (problem.columns % problem.group_columns != 0)
            return {"columns", problem.group_columns, problem.columns, "multiple"};
        return accepted();
    }
    if (problem.swizzled) return {"swizzled", 0, 1, "bool"};
    const i64 elements = problem.group_rows * problem.group_columns;
    if (elements > block_elements(row)) return {"group", block_elements(row), elements, "at_most"};
    if (problem.group_columns % kVectorElements != 0)
        return {"group_columns", kVectorElements, problem.group_columns, "multiple"};
    const i64 most = i64{row.threads} * kVectorElements;
    if (problem.group_rows != 1 && problem.group_columns > most)
        return {"group_columns", most, problem.group_columns, "at_most"};
    if (problem.group_rows != 1 && !is_power_of_two(problem.group_columns))
        return {"group_columns", 0, problem.group_columns, "power_of_two"};
    return accepted();
}

}  // namespace warpwright
