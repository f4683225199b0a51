// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/amax.h"

#include <limits>

#include "check/ops/checks.h"
#include "kernels/fused/amax/operation.h"
#include "kernels/fused/amax/oracle.h"

namespace warpwright {
namespace {

struct AmaxCheck {
    using Op = AmaxOp;

    static std::vector<AmaxProblem> problems() {
        std::vector<AmaxProblem> problems;
        for (DType dtype : {DType::bf16, DType::f16}) {
            problems.push_back({.rows = 1, .columns = 8, .dtype = dtype, .parts = 3});
            problems.push_back({.rows = 9, .columns = 1032, .dtype = dtype, .parts = 512});
            problems.push_back({.rows = 70, .columns = 4096, .dtype = dtype, .parts = 4});
            problems.push_back({.rows = 70, .columns = 1000, .dtype = dtype, .parts = 2});
            problems.push_back({.rows = 7, .columns = 333, .dtype = dtype, .parts = 5, .alignment_bytes = 2});
        }
        return problems;
    }

    // Largest: the last number of all, an infinity, a NaN.
    static void run(Workbench& bench, const AmaxProblem& problem, CheckResult& result) {
        const Tensor x =
            bench.input(problem.dtype, {problem.rows, problem.columns}, 1, problem.alignment_bytes < 16);
        std::vector<float> values = bench.read(x);
        for (const float last : {values.back(), -77.0F, -std::numeric_limits<float>::infinity(),
                                 std::numeric_limits<float>::quiet_NaN()}) {
            values.back() = last;
            bench.write(x, values);
            const Tensor out = bench.output(DType::f32, {problem.parts});
            const Status status = amax(bench.context(), bench.stream(), {.x = x, .out = out});
            if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");
            const std::vector<double> answer{amax_oracle(values)};
            const std::vector<float> found{static_cast<float>(amax_oracle(bench.read(out)))};
            judge(result, bench, compare(found, answer, {static_cast<float>(answer[0])}, 0), "amax");
        }
    }
};

}  // namespace

const OperationCheck& amax_check() {
    static const OperationCheckOf<AmaxCheck> check;
    return check;
}

}  // namespace warpwright
