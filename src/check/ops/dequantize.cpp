// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/dequantize.h"

#include <algorithm>
#include <random>

#include "check/ops/checks.h"
#include "check/ops/quantized_outputs.h"
#include "kernels/fused/dequantize/operation.h"
#include "kernels/fused/dequantize/oracle.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

constexpr float kGlobalScale = 0.0013F;

struct DequantizeCheck {
    using Op = DequantizeOp;

    static std::vector<DequantizeProblem> problems() {
        struct Shape {
            i64 rows, columns;
            QuantizeFormat format;
            bool swizzled = false;
            i64 alignment_bytes = 16;
        };
        constexpr Shape kShapes[] = {
            {5, 520, kFp8PerTensor},
            {3, 1032, kInt8PerToken},
            {9, 768, kFp8Groups},
            {140, 264, kFp8Blocks},
            {7, 520, {CodeType::e5m2, ScaleType::power_of_two, 3, 40}},
            {9, 768, kMxfp8},
            {131, 160, {CodeType::e5m2, ScaleType::e8m0_up, 1, 32}, true},
            {9, 768, kMxfp4},
            {5, 528, kNvfp4},
            {130, 80, kNvfp4, true},
            {7, 333, kFp8Groups, false, 2},
            {5, 330, {CodeType::i8, ScaleType::f32, 2, 6}, false, 2},
            {6, 96, kNvfp4, false, 2},
        };
        std::vector<DequantizeProblem> problems;
        for (DType out : {DType::bf16, DType::f16, DType::f32}) {
            for (const Shape& shape : kShapes) {
                const auto all_or = [](i64 group, i64 all) {
                    return group == 0 ? all : std::min(group, all);
                };
                problems.push_back({.rows = shape.rows,
                                    .columns = shape.columns,
                                    .out = out,
                                    .code = shape.format.code,
                                    .scale = shape.format.scale,
                                    .group_rows = all_or(shape.format.group_rows, shape.rows),
                                    .group_columns = all_or(shape.format.group_columns, shape.columns),
                                    .swizzled = shape.swizzled,
                                    .alignment_bytes = shape.alignment_bytes});
            }
        }
        return problems;
    }

    // Every code there is, and with coded scales every scale: NaN and infinities among both. Numbers are
    // equal, not close.
    static void run(Workbench& bench, const DequantizeProblem& problem, CheckResult& result) {
        const bool misaligned = problem.alignment_bytes < 16;
        const i64 rows = problem.rows, columns = problem.columns;
        const int bits = facts_of(problem.code).bits;
        const i64 row_groups = ceil_div(rows, problem.group_rows);
        const i64 groups = ceil_div(columns, problem.group_columns);
        const bool coded = dtype_of(problem.scale) == DType::u8;
        const i64 scale_rows = problem.swizzled ? round_up(row_groups, kSwizzleRows) : row_groups;
        const i64 scale_columns = problem.swizzled ? round_up(groups, kSwizzleColumns) : groups;
        Dequantize call{.codes = bench.input(DType::u8, {rows, columns * bits / 8}, 1, misaligned),
                        .scales = bench.input(dtype_of(problem.scale), {scale_rows, scale_columns}),
                        .format = {problem.code, problem.scale, problem.group_rows, problem.group_columns},
                        .out = bench.output(problem.out, {rows, columns}, misaligned),
                        .swizzled = problem.swizzled};
        if (problem.scale == ScaleType::e4m3) {
            call.global_scale = bench.input(DType::f32, {1});
            bench.write(call.global_scale, {kGlobalScale});
        }
        std::vector<float> bytes(static_cast<std::size_t>(rows * columns * bits / 8));
        for (float& byte : bytes) byte = static_cast<float>(bench.random()() & 0xff);
        bench.write(call.codes, bytes);
        std::vector<float> scales = bench.read(call.scales);
        if (coded) {  // of e4m3 the positive ones
            const u64 mask = problem.scale == ScaleType::e4m3 ? 0x7f : 0xff;
            for (float& scale : scales) scale = static_cast<float>(bench.random()() & mask);
            bench.write(call.scales, scales);
        }
        const Status status = dequantize(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const std::vector<float> codes = unpacked_codes(bytes, problem.code);
        std::vector<double> answer(codes.size());
        for (i64 i = 0; i < std::ssize(codes); ++i) {
            const i64 row = i / columns / problem.group_rows, column = i % columns / problem.group_columns;
            const i64 at = problem.swizzled ? swizzled_offset(row, column, groups) : row * groups + column;
            const double scale =
                decoded_scale(problem.scale, scales[static_cast<std::size_t>(at)], kGlobalScale);
            const double code = decoded(problem.code, static_cast<int>(codes[static_cast<std::size_t>(i)]));
            answer[static_cast<std::size_t>(i)] = round_to(problem.out, static_cast<float>(code * scale));
        }
        const std::vector<float> exactly(answer.begin(), answer.end());
        judge(result, bench, compare(bench.read(call.out), answer, exactly, 0), "out");
    }
};

}  // namespace

const OperationCheck& dequantize_check() {
    static const OperationCheckOf<DequantizeCheck> check;
    return check;
}

}  // namespace warpwright
