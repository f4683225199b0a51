// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/merge_state.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "check/ops/checks.h"
#include "kernels/attention/merge_state/operation.h"
#include "kernels/attention/merge_state/oracle.h"

namespace warpwright {
namespace {

struct MergeStateCheck {
    using Op = MergeStateOp;

    static std::vector<MergeStateProblem> problems() {
        std::vector<MergeStateProblem> problems;
        for (DType dtype : {DType::bf16, DType::f16, DType::f32}) {
            for (i64 head_dim : {1, 33, 64, 96, 128, 256, 576}) {
                const i64 alignment = head_dim % 8 == 0 ? 16 : 2;
                problems.push_back({7, 5, head_dim, 2, dtype, alignment});
            }
            problems.push_back({.tokens = 6, .heads = 3, .states = 5, .dtype = dtype});
            problems.push_back({.tokens = 1, .heads = 8, .states = 1, .dtype = dtype});
            problems.push_back({3, 32, 128, 40, dtype, 2});
        }
        return problems;
    }

    // Two states are two tensors, the result in the place of the second; others are one tensor, with the
    // states between tokens and heads, as FlashInfer has them.
    static void run(Workbench& bench, const MergeStateProblem& problem, CheckResult& result) {
        constexpr float kInfinity = std::numeric_limits<float>::infinity();
        constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
        const i64 tokens = problem.tokens, heads = problem.heads, dim = problem.head_dim;
        const i64 rows = tokens * heads, states = problem.states;
        const bool misaligned = problem.alignment_bytes < 16, is_pair = states == 2;
        const LseBase base = problem.head_dim % 3 == 0 ? LseBase::e : LseBase::two;
        // [states, tokens, ...] or [tokens, states, ...] in memory: the order of the outer two dimensions.
        const auto place = [&](i64 state, i64 row) {
            return is_pair ? state * rows + row : (row / heads * states + state) * heads + row % heads;
        };
        std::vector<Tensor> outs, lses;  // one, or two
        std::vector<float> out_values, lse_values;
        for (int i = 0; i < (is_pair ? 2 : 1); ++i) {
            const i64 count = is_pair ? 1 : states;
            const bool in_place = i == 1;
            outs.push_back(in_place
                               ? bench.in_place(problem.dtype, {tokens, heads, dim}, 1, misaligned)
                               : bench.input(problem.dtype, {tokens * count, heads, dim}, 1, misaligned));
            lses.push_back(in_place ? bench.in_place(DType::f32, {tokens, heads}, 4)
                                    : bench.input(DType::f32, {tokens * count, heads}, 4));
            for (float value : bench.read(outs.back())) out_values.push_back(value);
            for (float value : bench.read(lses.back())) lse_values.push_back(value);
        }
        // States without keys have no output; the first row has none in any state, others in some.
        std::vector<float> of_states(out_values.size()), lse_of(lse_values.size());
        for (i64 state = 0; state < states; ++state) {
            for (i64 row = 0; row < rows; ++row) {
                const i64 at = place(state, row), to = state * rows + row;
                if (row == 0 || (state * 7 + row) % 4 == 1) {
                    lse_values[at] = (state + row) % 2 == 0 ? -kInfinity : kInfinity;
                    std::fill_n(out_values.begin() + at * dim, dim, kNan);
                }
                lse_of[to] = lse_values[at];
                std::copy_n(out_values.begin() + at * dim, dim, of_states.begin() + to * dim);
            }
        }
        for (std::size_t i = 0, out_at = 0, lse_at = 0; i < outs.size(); ++i) {
            const auto take = [](const std::vector<float>& all, std::size_t& at, const Tensor& tensor) {
                const auto count = static_cast<std::size_t>(tensor.num_elements());
                at += count;
                return std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(at - count),
                                          all.begin() + static_cast<std::ptrdiff_t>(at));
            };
            bench.write(outs[i], take(out_values, out_at, outs[i]));
            bench.write(lses[i], take(lse_values, lse_at, lses[i]));
        }

        Status status;
        Tensor out, lse;
        if (is_pair) {
            out = outs[1], lse = lses[1];
            status = merge_state(bench.context(), bench.stream(),
                                 {outs[0], lses[0], outs[1], lses[1], out, lse, base});
        } else {
            out = bench.output(problem.dtype, {tokens, heads, dim}, misaligned);
            lse = bench.output(DType::f32, {tokens, heads});
            Tensor all = Tensor::dense(outs[0].data, problem.dtype, {states, tokens, heads, dim});
            all.stride[0] = heads * dim, all.stride[1] = states * heads * dim;
            Tensor all_lse = Tensor::dense(lses[0].data, DType::f32, {states, tokens, heads});
            all_lse.stride[0] = heads, all_lse.stride[1] = states * heads;
            status = merge_states(bench.context(), bench.stream(), {all, all_lse, out, lse, base});
        }
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const MergeStateAnswer answer =
            merge_state_oracle(of_states, lse_of, states, dim, base == LseBase::e ? std::numbers::e : 2);
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

const OperationCheck& merge_state_check() {
    static const OperationCheckOf<MergeStateCheck> check;
    return check;
}

}  // namespace warpwright
