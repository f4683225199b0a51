// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "check/ops/checks.h"
#include "check/ops/row_groups.h"
#include "dispatch/prepare.h"
#include "kernels/quantized_gemm/order/operation.h"
#include "kernels/quantized_gemm/order/oracle.h"

namespace warpwright {
namespace {

struct GatherColumnsCheck {
    using Op = GatherColumnsOp;
    static constexpr i64 kGroups = 3;

    static std::vector<GatherColumnsProblem> problems() {
        std::vector<GatherColumnsProblem> problems;
        for (const Grouping grouping : {Grouping::none, Grouping::contiguous, Grouping::masked}) {
            for (const i64 columns : {1, 33, 128, 1000}) {
                for (const i64 rows : {3, 9, 270})
                    problems.push_back({.rows = rows, .columns = columns, .grouping = grouping});
            }
        }
        return problems;
    }

    static void run(Workbench& bench, const GatherColumnsProblem& problem, CheckResult& result) {
        const bool masked = problem.grouping == Grouping::masked;
        const bool contiguous = problem.grouping == Grouping::contiguous;
        const i64 groups = masked || contiguous ? kGroups : 1, columns = problem.columns;
        const i64 group_rows = masked ? problem.rows / groups : problem.rows;
        const RowGroups parts = random_row_groups(bench.random(), problem.grouping, groups, group_rows);
        std::vector<i32> group_of(static_cast<std::size_t>(problem.rows), -1);
        for (const RowGroups::Part& part : parts.parts)
            std::fill_n(group_of.begin() + part.first, part.count, static_cast<i32>(part.group));
        std::vector<i32> order(static_cast<std::size_t>(groups * columns));
        for (i64 group = 0; group < groups; ++group) {
            const auto first = order.begin() + group * columns;
            std::iota(first, first + columns, 0);
            std::shuffle(first, first + columns, bench.random());
        }
        const Tensor x = bench.input(DType::bf16, {problem.rows, columns});
        const Tensor out = bench.output(DType::bf16, {problem.rows, columns});
        // Dense: the next launch reads it so.
        const Tensor dense = Tensor::dense(out.data, DType::bf16, {problem.rows, columns});
        const Tensor list = parts.list.empty() ? Tensor{} : bench.integers(parts.list);
        const auto* indices = static_cast<const i32*>(list.data);
        const GatherColumnsArgs args{.x = x.data,
                                     .out = dense.data,
                                     .order = static_cast<const i32*>(bench.integers(order).data),
                                     .group_of_row = contiguous ? indices : nullptr,
                                     .rows_of_group = masked ? indices : nullptr,
                                     .x_stride = x.stride[0],
                                     .x_group_stride = group_rows * x.stride[0],
                                     .rows = static_cast<i32>(problem.rows),
                                     .group_rows = static_cast<i32>(group_rows),
                                     .columns = static_cast<i32>(columns)};
        Prepared prepared;
        Status status = prepare_step<GatherColumnsOp>(bench.context(), problem, args, prepared);
        if (status.ok()) status = prepared.launch(bench.context().device(), bench.stream());
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const std::vector<double> answer = gather_columns_oracle(bench.read(x), order, group_of, columns);
        const std::vector<float> all = bench.read(dense);
        std::vector<float> found;
        for (i64 row = 0; row < problem.rows; ++row) {
            const auto first = all.begin() + row * columns;
            if (group_of[row] >= 0) found.insert(found.end(), first, first + columns);
        }
        judge(result, bench, compare(found, answer, rounded(answer, DType::bf16), 0), "out");
    }
};

}  // namespace

const OperationCheck& gather_columns_check() {
    static const OperationCheckOf<GatherColumnsCheck> check;
    return check;
}

}  // namespace warpwright
