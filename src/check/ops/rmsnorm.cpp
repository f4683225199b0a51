// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/rmsnorm.h"
#include "check/ops/checks.h"
#include "kernels/fused/rmsnorm/operation.h"
#include "kernels/fused/rmsnorm/oracle.h"

namespace warpwright {
namespace {

struct RmsNormCheck {
    using Op = RmsNormOp;

    static std::vector<RmsNormProblem> problems() {
        std::vector<RmsNormProblem> problems;
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (i64 hidden : {64, 72, 200, 1024, 2880, 4096, 7168}) {
                problems.push_back(
                    {.tokens = 5, .hidden = hidden, .dtype = dtype, .residual = hidden != 1024});
            }
            problems.push_back({.tokens = 3, .hidden = 33, .dtype = dtype, .alignment_bytes = 2});
            problems.push_back({.tokens = 3, .hidden = 256, .dtype = dtype, .alignment_bytes = 2});
            problems.push_back({.tokens = 300, .hidden = 16384, .dtype = dtype});
        }
        return problems;
    }

    static void run(Workbench& bench, const RmsNormProblem& problem, CheckResult& result) {
        const double epsilon = 1e-5;
        const bool misaligned = problem.alignment_bytes < 16;
        const Tensor x = bench.input(problem.dtype, {problem.tokens, problem.hidden}, 1, misaligned);
        const Tensor weight = bench.input(problem.dtype, {problem.hidden}, 1, misaligned);
        const Tensor out = bench.output(problem.dtype, {problem.tokens, problem.hidden}, misaligned);
        Tensor residual;
        std::vector<float> residual_before;
        if (problem.residual) {
            residual = bench.in_place(problem.dtype, {problem.tokens, problem.hidden}, 3, misaligned);
            residual_before = bench.read(residual);
        }
        const RmsNorm call{.x = x, .weight = weight, .out = out, .residual = residual, .epsilon = 1e-5f};
        const Status status = rmsnorm(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const RmsNormAnswer answer =
            rmsnorm_oracle(bench.read(x), residual_before, bench.read(weight), epsilon, problem.dtype);
        judge(result, bench,
              compare(bench.read(out), answer.out, rounded(answer.out, problem.dtype), largest(answer.out)),
              "out");
        if (problem.residual) {
            judge(result, bench,
                  compare(bench.read(residual), answer.residual, rounded(answer.residual, problem.dtype), 0),
                  "residual");
        }
    }
};

}  // namespace

const OperationCheck& rmsnorm_check() {
    static const OperationCheckOf<RmsNormCheck> check;
    return check;
}

}  // namespace warpwright
