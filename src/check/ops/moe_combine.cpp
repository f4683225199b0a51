// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/moe_combine.h"

#include <algorithm>
#include <cmath>

#include "check/ops/checks.h"
#include "kernels/host_math.h"
#include "kernels/moe/combine/operation.h"
#include "kernels/moe/combine/oracle.h"

namespace warpwright {
namespace {

struct MoeCombineCheck {
    using Op = MoeCombineOp;

    static std::vector<MoeCombineProblem> problems() {
        std::vector<MoeCombineProblem> problems;
        for (const DType dtype : {DType::bf16, DType::f16}) {
            problems.push_back({.tokens = 9, .top_k = 10, .width = 1152, .dtype = dtype});
            problems.push_back({.tokens = 5, .top_k = 6, .width = 72, .dtype = dtype, .base = true});
            problems.push_back({5, 3, 33, dtype, true, 2});
            problems.push_back({3, 4, 256, dtype, false, 2});
            problems.push_back({.tokens = 2, .top_k = 1, .width = 8, .dtype = dtype});
        }
        problems.push_back({.tokens = 40, .top_k = 8, .width = 2048, .base = true});
        return problems;
    }

    static void run(Workbench& bench, const MoeCombineProblem& problem, CheckResult& result) {
        const i64 tokens = problem.tokens, top_k = problem.top_k, width = problem.width;
        const bool misaligned = problem.alignment_bytes < 16;
        const i64 num_rows = tokens * top_k + 3;
        MoeCombineInputs in{.width = width, .top_k = top_k};
        for (i64 slot = 0; slot < tokens * top_k; ++slot) {
            // Rows in another order; some there are none of, in one token none at all.
            const bool none = slot % 7 == 3 || slot / top_k == 1;
            const auto row = static_cast<i32>((slot * 5 + 2) % num_rows);
            in.row_of_slot.push_back(none ? (slot % 2 == 0 ? -1 : static_cast<i32>(num_rows)) : row);
        }
        const auto matrix = [&](Tensor tensor) {
            tensor.rank = 2;
            tensor.shape = {tokens, top_k};
            tensor.stride = {top_k, 1};
            return tensor;
        };
        MoeCombine call{.rows = bench.input(problem.dtype, {num_rows, width}, 1, misaligned),
                        .row_of_slot = matrix(bench.integers(in.row_of_slot)),
                        .weights = bench.input(DType::f32, {tokens, top_k}, 0.5),
                        .out = problem.base ? bench.in_place(problem.dtype, {tokens, width}, 1, misaligned)
                                            : bench.output(problem.dtype, {tokens, width}, misaligned),
                        .places_are_constant = tokens % 2 == 0};
        in.rows = bench.read(call.rows);
        in.weights = bench.read(call.weights);
        if (problem.base) {
            call.base = call.out;
            in.base = bench.read(call.out);
        }
        const Status status = moe_combine(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const std::vector<double> answer = moe_combine_oracle<double>(in);
        std::vector<float> reference = moe_combine_oracle<float>(in);
        for (float& value : reference) value = round_to(problem.dtype, value);
        MoeCombineInputs sizes = in;  // of what is added up
        for (auto* values : {&sizes.rows, &sizes.weights, &sizes.base}) {
            std::transform(values->begin(), values->end(), values->begin(),
                           [](float x) { return std::abs(x); });
        }
        judge(result, bench,
              compare(bench.read(call.out), answer, reference, largest(moe_combine_oracle<double>(sizes))),
              "out");
    }
};

}  // namespace

const OperationCheck& moe_combine_check() {
    static const OperationCheckOf<MoeCombineCheck> check;
    return check;
}

}  // namespace warpwright
