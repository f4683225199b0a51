// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/scaling.h"

#include <cmath>
#include <limits>

#include "check/ops/checks.h"
#include "kernels/fused/scaling/operation.h"
#include "kernels/fused/scaling/oracle.h"

namespace warpwright {
namespace {

constexpr int kMargin = 2;

struct ScalingCheck {
    using Op = ScalingOp;

    static std::vector<ScalingProblem> problems() {
        std::vector<ScalingProblem> problems;
        for (bool largest_of_all : {true, false}) {
            for (const auto& [length, tensors] :
                 {std::pair<i64, i64>{1, 7}, {2, 33}, {16, 128}, {33, 40}, {100, 65}}) {
                problems.push_back({length, tensors, largest_of_all});
            }
        }
        return problems;
    }

    static std::vector<float> as_float(const std::vector<double>& values) {
        return {values.begin(), values.end()};
    }

    // Some tensors have only zeros, infinities, NaN, or magnitudes so small that the scale would be infinite.
    static void run(Workbench& bench, const ScalingProblem& problem, CheckResult& result) {
        const Tensor history = bench.in_place(DType::f32, {problem.length, problem.tensors});
        const Tensor scale = bench.in_place(DType::f32, {problem.tensors});
        const Tensor scale_inv = bench.output(DType::f32, {problem.tensors});
        std::vector<float> magnitudes = bench.read(history), scales = bench.read(scale);
        for (i64 i = 0; i < std::ssize(magnitudes); ++i) {
            float& value = magnitudes[static_cast<std::size_t>(i)];
            value = std::abs(value);
            const i64 kind = i % problem.tensors % 9, row = i / problem.tensors;
            if (kind == 1) value = 0;
            if (kind == 2 && row == problem.length / 2) value = std::numeric_limits<float>::infinity();
            if (kind == 3 && row == problem.length - 1) value = std::nanf("");
            if (kind == 4) value *= 1e-39F;
        }
        for (float& value : scales) value = std::abs(value) + 0.5F;
        bench.write(history, magnitudes);
        bench.write(scale, scales);
        const Scaling call{.amax_history = history,
                           .scale = scale,
                           .scale_inv = scale_inv,
                           .code = CodeType::e5m2,
                           .margin = kMargin,
                           .largest_of_all = problem.largest_of_all};
        const Status status = scaling(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");
        const ScalingAnswer answer =
            scaling_oracle(magnitudes, scales, std::ldexp(57344.0, -kMargin), problem.largest_of_all);
        const auto exactly = [&](const Tensor& tensor, const std::vector<double>& expected,
                                 const char* what) {
            judge(result, bench, compare(bench.read(tensor), expected, as_float(expected), 0), what);
        };
        exactly(history, answer.history, "amax_history");
        exactly(scale, answer.scale, "scale");
        exactly(scale_inv, answer.scale_inv, "scale_inv");
    }
};

}  // namespace

const OperationCheck& scaling_check() {
    static const OperationCheckOf<ScalingCheck> check;
    return check;
}

}  // namespace warpwright
