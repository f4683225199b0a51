// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/gemm.h"

#include <cmath>

#include "check/ops/checks.h"
#include "check/ops/product_codes.h"
#include "check/ops/row_gaps.h"
#include "kernels/gemm/operation.h"
#include "kernels/gemm/oracle.h"

namespace warpwright {
namespace {

// A view of [rows, columns] in a wider allocation.
struct Matrix {
    Tensor view;
    Tensor whole;
};

Matrix narrowed(const Tensor& whole, i64 columns) {
    Matrix matrix{whole, whole};
    matrix.view.shape[1] = columns;
    return matrix;
}

std::vector<float> read(Workbench& bench, const Matrix& matrix) {
    return without_gaps(bench.read(matrix.whole), matrix.view.shape[0], matrix.view.shape[1],
                        matrix.whole.shape[1]);
}

// The largest sum of absolute values that one output adds up.
double magnitude_of(GemmOperands x) {
    for (auto* values : {&x.a, &x.b, &x.bias, &x.residual}) {
        for (float& value : *values) value = std::abs(value);
    }
    for (float& value : x.gate) value = std::abs(activate(x.activation, value));
    x.activation = Activation::none;
    const std::vector<float> sums = gemm_oracle<float>(x);
    return largest({sums.begin(), sums.end()});
}

struct GemmAnswer {
    std::vector<double> oracle;
    std::vector<float> reference;
    double magnitude = 0;
    double amax = 0;  // of what codes are made of
    float reference_amax = 0;
};
GemmAnswer gemm_answer(const GemmOperands& operands, const GemmProblem& problem) {
    GemmAnswer answer{gemm_oracle<double>(operands), gemm_oracle<float>(operands), magnitude_of(operands)};
    if (problem.out == DType::u8) {
        answer.amax = largest(answer.oracle);
        answer.reference_amax =
            static_cast<float>(largest({answer.reference.begin(), answer.reference.end()}));
        product_codes::round(product_codes::code_of(problem.n), answer.oracle, answer.reference);
    }
    for (float& value : answer.reference) value = round_to(problem.out, value);
    return answer;
}

struct GemmCheck {
    using Op = GemmOp;

    static std::vector<GemmProblem> problems() {
        std::vector<GemmProblem> problems;
        struct Shape {
            i64 m, n, k;
        };
        for (DType dtype : {DType::bf16, DType::f16}) {
            const auto add = [&](Shape s, DType out, i64 alignment = 16) {
                problems.push_back(
                    {.m = s.m, .n = s.n, .k = s.k, .dtype = dtype, .out = out, .alignment_bytes = alignment});
            };
            for (const Shape shape :
                 {Shape{1, 1, 1}, {1, 1, 8},       {1, 4096, 4096}, {1, 11, 13},     {2, 3, 1},
                  {2, 33, 40},    {3, 128, 512},   {4, 256, 1032},  {4, 1040, 2056}, {5, 17, 72},
                  {7, 1000, 264}, {8, 512, 2048},  {9, 40, 136},    {13, 96, 264},   {16, 320, 1024},
                  {16, 17, 2000}, {17, 131, 67},   {31, 64, 128},   {33, 257, 300},  {64, 512, 512},
                  {65, 129, 257}, {127, 253, 511}, {128, 256, 512}, {200, 72, 1000}, {257, 300, 96}}) {
                add(shape, dtype);
            }
            for (const Shape shape : {Shape{1, 100, 512}, {6, 40, 400}, {16, 33, 136}, {70, 130, 500}}) {
                add(shape, DType::f32);
            }
            for (const Shape shape :
                 {Shape{1, 1, 1}, {3, 5, 7}, {17, 37, 41}, {130, 70, 129}, {1, 128, 64}, {40, 200, 300}}) {
                add(shape, dtype, 2);
            }
            // Every epilogue, few rows of A and more than a bandwidth row takes.
            for (int bits = 0; bits < 64; ++bits) {
                for (const Shape shape : {Shape{3, 40, 48}, {21, 40, 48}}) {
                    problems.push_back({.m = shape.m,
                                        .n = shape.n + (bits % 3 == 0 ? 1 : 0),
                                        .k = shape.k,
                                        .dtype = dtype,
                                        .out = (bits & 1) != 0 ? DType::f32 : dtype,
                                        .bias = (bits & 2) != 0,
                                        .gate = (bits & 4) != 0,
                                        .residual = (bits & 8) != 0,
                                        .activation = static_cast<Activation>(bits >> 4),
                                        .alignment_bytes = 16});
                }
            }
        }
        // More blocks than any GPU runs at once.
        problems.push_back({.m = 2561, .n = 3400, .k = 24, .dtype = DType::bf16});
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (const Shape shape : {Shape{3, 96, 264}, {40, 160, 136}, {130, 257, 96}, {17, 33, 72}}) {
                const bool all = shape.m == 40 || shape.m == 17;
                problems.push_back({.m = shape.m,
                                    .n = shape.n,
                                    .k = shape.k,
                                    .dtype = dtype,
                                    .out = DType::u8,
                                    .bias = all,
                                    .gate = all,
                                    .residual = all,
                                    .activation = all ? Activation::silu : Activation::none,
                                    .alignment_bytes = shape.m == 17 ? 2 : 16});
            }
        }
        return problems;
    }

    static void run(Workbench& bench, const GemmProblem& problem, CheckResult& result) {
        const i64 m = problem.m, n = problem.n, k = problem.k;
        const bool misaligned = problem.alignment_bytes < 16;
        const bool has_codes = problem.out == DType::u8;
        const i64 pad = has_codes ? 0 : (m + n + k) % 3 * 8;  // two of three problems have gaps between rows
        const i64 k_stride = misaligned ? k + pad / 8 : round_up(k, 8) + pad, n_stride = n + pad;
        // Results of about one: activations are tested where they bend.
        const double scale = 1 / std::sqrt(static_cast<double>(k));
        const Matrix a = narrowed(bench.input(problem.dtype, {m, k_stride}, 1, misaligned), k);
        const Matrix b = narrowed(bench.input(problem.dtype, {n, k_stride}, scale, misaligned), k);
        const Matrix d = narrowed(bench.output(problem.out, {m, n_stride}, misaligned), n);
        Gemm call{.a = a.view,
                  .b = b.view,
                  .d = d.view,
                  .activation = problem.activation,
                  .b_is_constant = n % 2 == 0};
        if (problem.bias) call.bias = bench.input(problem.dtype, {n}, 1, misaligned);
        Matrix gate, residual;
        if (problem.gate) {
            gate = narrowed(bench.input(problem.dtype, {m, n_stride}, 1, misaligned), n);
            call.gate = gate.view;
        }
        if (problem.residual) {
            residual = narrowed(
                bench.input(has_codes ? problem.dtype : problem.out, {m, n_stride}, 1, misaligned), n);
            call.residual = residual.view;
        }
        if (has_codes) product_codes::ask_for(bench, call, n);
        if (!bench.has_memory()) return judge(result, bench, {}, "inputs");
        const GemmAnswer& answer = bench.answer("gemm", [&] {
            GemmOperands operands{m, n, k, read(bench, a), read(bench, b), {}, {}, {}, problem.activation};
            if (problem.bias) operands.bias = bench.read(call.bias);
            if (problem.gate) operands.gate = read(bench, gate);
            if (problem.residual) operands.residual = read(bench, residual);
            return gemm_answer(operands, problem);
        });
        const Status status = gemm(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const std::vector<float> whole = bench.read(d.whole);
        std::vector<float> got = without_gaps(whole, m, n, n_stride);
        if (has_codes) {
            for (float& value : got) value = product_codes::number_of(call.d_code, value);
            judge(result, bench, compare(got, answer.oracle, answer.reference, answer.magnitude), "d");
            return judge(
                result, bench,
                compare(bench.read(call.d_amax), {answer.amax}, {answer.reference_amax}, answer.magnitude),
                "d_amax");
        }
        judge(result, bench, compare(got, answer.oracle, answer.reference, answer.magnitude), "d");
        judge_gaps(result, bench, whole, m, n, n_stride);
    }
};

}  // namespace

const OperationCheck& gemm_check() {
    static const OperationCheckOf<GemmCheck> check;
    return check;
}

}  // namespace warpwright
