// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "check/ops/checks.h"
#include "dispatch/prepare.h"
#include "kernels/attention/merge/operation.h"
#include "kernels/attention/merge/oracle.h"
#include "kernels/attention/problem.h"

namespace warpwright {
namespace {

struct AttentionMergeCheck {
    using Op = AttentionMergeOp;

    static std::vector<AttentionMergeProblem> problems() {
        std::vector<AttentionMergeProblem> problems;
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (i64 head_dim : {1, 33, 64, 96, 128, 256}) {
                problems.push_back(
                    {.q_tokens = 7, .heads = 5, .head_dim = head_dim, .splits = 9, .dtype = dtype});
            }
            problems.push_back({.q_tokens = 3, .heads = 32, .head_dim = 128, .splits = 2, .dtype = dtype});
            problems.push_back({.q_tokens = 1, .heads = 8, .head_dim = 128, .splits = 100, .dtype = dtype});
        }
        return problems;
    }

    static void run(Workbench& bench, const AttentionMergeProblem& problem, CheckResult& result) {
        constexpr float kInfinity = std::numeric_limits<float>::infinity();
        constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
        const i64 rows = problem.q_tokens * problem.heads, stride = partial_dim(problem.head_dim);
        const Tensor partial_out = bench.input(DType::f32, {problem.splits, rows, stride});
        const Tensor partial_lse = bench.input(DType::f32, {problem.splits, rows}, 4);
        // Splits without a key have written no output; the first row has no key in any split.
        std::vector<float> out_values = bench.read(partial_out), lse_values = bench.read(partial_lse);
        for (i64 i = 0; i < problem.splits * rows; ++i) {
            if (i % rows != 0 && i % 3 != 0) continue;
            lse_values[i] = -kInfinity;
            std::fill_n(out_values.begin() + i * stride, stride, kNan);
        }
        bench.write(partial_out, out_values);
        bench.write(partial_lse, lse_values);
        const Tensor out = bench.output(problem.dtype, {problem.q_tokens, problem.heads, problem.head_dim});
        const Tensor lse = bench.output(DType::f32, {problem.q_tokens, problem.heads});
        const Tensor q_starts = bench.integers({0, static_cast<i32>(problem.q_tokens)});

        const AttentionMergeArgs args{.partial_out = static_cast<const float*>(partial_out.data),
                                      .partial_lse = static_cast<const float*>(partial_lse.data),
                                      .out = out.data,
                                      .lse = static_cast<float*>(lse.data),
                                      .sinks = nullptr,
                                      .q_starts = static_cast<const i32*>(q_starts.data),
                                      .out_token_stride = static_cast<i32>(out.stride[0]),
                                      .out_head_stride = static_cast<i32>(out.stride[1]),
                                      .lse_token_stride = static_cast<i32>(problem.heads),
                                      .sequences = 1,
                                      .q_tokens = static_cast<i32>(problem.q_tokens),
                                      .heads = static_cast<i32>(problem.heads),
                                      .head_dim = static_cast<i32>(problem.head_dim),
                                      .partial_dim = static_cast<i32>(stride),
                                      .splits = static_cast<i32>(problem.splits),
                                      .lse_factor = 1};
        Prepared prepared;
        Status status = prepare_step<AttentionMergeOp>(bench.context(), problem, args, prepared);
        if (status.ok()) status = prepared.launch(bench.context().device(), bench.stream());
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const AttentionMergeAnswer answer =
            attention_merge_oracle(out_values, lse_values, problem.splits, problem.head_dim, stride);
        judge(
            result, bench,
            compare(bench.read(out), answer.out, rounded(answer.out, problem.dtype), 4 * largest(answer.out)),
            "out");
        judge(result, bench,
              compare(bench.read(lse), answer.lse, rounded(answer.lse, DType::f32), largest(answer.lse)),
              "lse");
    }
};

}  // namespace

const OperationCheck& attention_merge_check() {
    static const OperationCheckOf<AttentionMergeCheck> check;
    return check;
}

}  // namespace warpwright
