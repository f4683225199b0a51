// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/quantized_gemm.h"

#include <algorithm>
#include <cmath>

#include "check/ops/checks.h"
#include "check/ops/packed_weights.h"
#include "check/ops/product_codes.h"
#include "check/ops/row_gaps.h"
#include "check/ops/row_groups.h"
#include "kernels/quantized_gemm/operation.h"
#include "kernels/quantized_gemm/oracle.h"

namespace warpwright {
namespace {

using packed_weights::joined;
using packed_weights::joined_bytes;
using packed_weights::random_weight;
using packed_weights::Weight;

// The largest sum of absolute values that one output adds up.
double magnitude_of(QuantizedGemmOperands x) {
    for (auto* values : {&x.gemm.a, &x.values, &x.gemm.bias, &x.gemm.residual}) {
        for (float& value : *values) value = std::abs(value);
    }
    for (float& value : x.gemm.gate) value = std::abs(activate(x.gemm.activation, value));
    x.gemm.activation = Activation::none;
    const std::vector<float> sums = quantized_gemm_oracle<float>(x);
    return largest({sums.begin(), sums.end()});
}

// All inputs as numbers, without gaps between rows; a weight for each group.
struct Inputs {
    std::vector<Weight> weights;
    RowGroups groups;
    std::vector<float> a, bias, gate, residual;
};

Inputs random_weights(std::mt19937_64 random, const QuantizedGemmProblem& p) {
    Inputs x;
    x.groups = random_row_groups(random, p.grouping, p.groups, p.m);
    for (i64 g = 0; g < p.groups; ++g) x.weights.push_back(random_weight(random, p));
    return x;
}

std::vector<float> part_of(const std::vector<float>& all, i64 first, i64 count) {
    return all.empty() ? all : std::vector<float>(all.begin() + first, all.begin() + first + count);
}

QuantizedGemmOperands operands_of(const QuantizedGemmProblem& p, const Inputs& x,
                                  const RowGroups::Part& part) {
    const Weight& weight = x.weights[part.group];
    return {{part.count,
             p.n,
             p.k,
             part_of(x.a, part.first * p.k, part.count * p.k),
             {},
             part_of(x.bias, part.group * p.n, p.n),
             part_of(x.gate, part.first * p.n, part.count * p.n),
             part_of(x.residual, part.first * p.n, part.count * p.n),
             p.activation},
            p.group,
            weight.values,
            weight.scales,
            weight.packed.order,
            weight.packed.global_scale};
}

struct QuantizedGemmAnswer {
    std::vector<double> oracle;
    std::vector<float> reference;
    double magnitude = 0;
    double amax = 0;  // of what codes are made of
    float reference_amax = 0;
};

// Rows that do not exist keep their fill, which reads as NaN.
QuantizedGemmAnswer answer_of(const QuantizedGemmProblem& p, const Inputs& x, i64 rows) {
    const auto size = static_cast<std::size_t>(rows * p.n);
    QuantizedGemmAnswer answer{std::vector<double>(size, std::nan("")),
                               std::vector<float>(size, std::nanf(""))};
    for (const RowGroups::Part& part : x.groups.parts) {
        if (part.count == 0) continue;
        const QuantizedGemmOperands operands = operands_of(p, x, part);
        std::ranges::copy(quantized_gemm_oracle<double>(operands), answer.oracle.begin() + part.first * p.n);
        std::vector<float> reference = quantized_gemm_oracle<float>(operands);
        if (p.out != DType::u8) {
            for (float& value : reference) value = round_to(p.out, value);
        }
        std::ranges::copy(reference, answer.reference.begin() + part.first * p.n);
        answer.magnitude = std::max(answer.magnitude, magnitude_of(operands));
    }
    if (p.out == DType::u8) {
        answer.amax = largest(answer.oracle);
        answer.reference_amax =
            static_cast<float>(largest({answer.reference.begin(), answer.reference.end()}));
        product_codes::round(product_codes::code_of(p.n), answer.oracle, answer.reference);
    }
    return answer;
}

// Rows of `stride` elements as [rows, columns], or with groups as [groups, rows, columns].
Tensor view(const Tensor& whole, i64 groups, i64 rows, i64 columns) {
    const i64 stride = whole.stride[0];
    Tensor tensor = groups == 0 ? Tensor::dense(whole.data, whole.dtype, {rows, stride})
                                : Tensor::dense(whole.data, whole.dtype, {groups, rows, stride});
    tensor.shape[tensor.rank - 1] = columns;
    return tensor;
}

struct QuantizedGemmCheck {
    using Op = QuantizedGemmOp;

    static std::vector<QuantizedGemmProblem> problems() {
        std::vector<QuantizedGemmProblem> problems;
        for (int f = 0; f < kNumWeightFormats; ++f) {
            for (DType dtype : {DType::bf16, DType::f16})
                add_problems(problems, static_cast<WeightFormat>(f), dtype);
        }
        return problems;
    }

    static void run(Workbench& bench, const QuantizedGemmProblem& p, CheckResult& result) {
        const bool misaligned = p.alignment_bytes < 16;
        const bool masked = p.grouping == Grouping::masked, grouped = p.grouping != Grouping::none;
        const i64 a_groups = masked ? p.groups : 0, rows = p.m * std::max<i64>(1, a_groups);
        const bool has_codes = p.out == DType::u8;
        const i64 pad = has_codes ? 0 : (p.m + p.n) % 3 * 8;  // two of three problems have gaps between rows
        const i64 k_stride = misaligned ? p.k + pad / 8 : round_up(p.k, 8) + pad, n_stride = p.n + pad;
        const Tensor a = bench.input(p.dtype, {rows, k_stride}, 1, misaligned);
        Inputs x = bench.answer("weights", [&] { return random_weights(bench.random(), p); });
        for (const Weight& w : x.weights) {
            if (!w.status.ok()) return judge(result, bench, {false, 0, 0, w.status.message()}, "weight");
        }
        x.a = without_gaps(bench.read(a), rows, p.k, k_stride);
        const PackedWeight& first = x.weights.front().packed;
        const Tensor d = bench.output(p.out, {rows, n_stride}, misaligned);
        QuantizedGemm call{
            .a = view(a, a_groups, p.m, p.k),
            .b = {.format = p.format,
                  .groups = p.groups,
                  .n = p.n,
                  .k = p.k,
                  .group = first.group,
                  .data = joined_bytes(bench, x.weights, &PackedWeight::data),
                  .scales = bench.bytes(joined(x.weights, &PackedWeight::scales), first.scale_type),
                  .global_scale = first.global_scale},
            .d = view(d, a_groups, p.m, p.n),
            .activation = p.activation,
            .b_is_constant = p.n % 2 == 0,
            .expected_m = p.expected_m};
        if (p.zeros) {
            call.b.zeros = joined_bytes(bench, x.weights, &PackedWeight::zeros);
        }
        if (p.order) call.b.order = bench.integers(joined(x.weights, &PackedWeight::order));
        if (grouped) {
            std::vector<float> scales;
            for (const Weight& w : x.weights) scales.push_back(w.packed.global_scale);
            call.b.global_scales = bench.bytes(std::as_bytes(std::span(scales)), DType::f32);
            (masked ? call.rows_of_group : call.group_of_row) = bench.integers(x.groups.list);
        }
        if (p.bias) {
            call.bias = grouped ? bench.input(p.dtype, {p.groups, p.n}, 1, misaligned)
                                : bench.input(p.dtype, {p.n}, 1, misaligned);
            x.bias = bench.read(call.bias);
        }
        const auto like_d = [&](DType type, Tensor& tensor, std::vector<float>& values) {
            const Tensor whole = bench.input(type, {rows, n_stride}, 1, misaligned);
            tensor = view(whole, a_groups, p.m, p.n);
            values = without_gaps(bench.read(whole), rows, p.n, n_stride);
        };
        if (p.gate) like_d(p.dtype, call.gate, x.gate);
        if (p.residual) like_d(has_codes ? p.dtype : p.out, call.residual, x.residual);
        if (has_codes) product_codes::ask_for(bench, call, p.n);
        const Status status = quantized_gemm(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const QuantizedGemmAnswer& answer =
            bench.answer("quantized_gemm", [&] { return answer_of(p, x, rows); });
        std::vector<float> whole = bench.read(d);
        if (has_codes) {
            for (float& value : whole) value = product_codes::number_of(call.d_code, value);
            judge(result, bench,
                  compare(bench.read(call.d_amax), {answer.amax}, {answer.reference_amax}, answer.magnitude),
                  "d_amax");
        }
        judge(result, bench,
              compare(without_gaps(whole, rows, p.n, n_stride), answer.oracle, answer.reference,
                      answer.magnitude),
              "d");
        judge_gaps(result, bench, whole, rows, p.n, n_stride);
    }

private:
    struct Shape {
        i64 m, n, k, group;
    };

    static void add_problems(std::vector<QuantizedGemmProblem>& problems, WeightFormat format, DType dtype) {
        const i64 own_group = facts_of(format).group;
        const DType other = dtype == DType::bf16 ? DType::f16 : DType::bf16;
        QuantizedGemmProblem base{.dtype = dtype, .out = dtype, .format = format};
        base.scale = own_group != 0 ? DType::u8 : dtype;
        const auto add = [&](Shape s, auto&& change) {
            QuantizedGemmProblem p = base;
            p.m = s.m, p.n = s.n, p.k = s.k, p.group = own_group != 0 ? own_group : s.group;
            change(p);
            problems.push_back(p);
        };
        const auto nothing = [](QuantizedGemmProblem&) {};
        for (const Shape s : {Shape{1, 1, 32, 32},
                              {1, 130, 1024, 128},
                              {5, 70, 320, 64},
                              {8, 200, 256, 32},
                              {16, 48, 640, 128},
                              {13, 100, 96, 0},
                              {31, 64, 128, 128},
                              {70, 150, 448, 64},
                              {130, 136, 256, 128},
                              {130, 72, 1152, 128}}) {
            add(s, nothing);
        }
        add({3, 40, 256, 128}, [&](auto& p) { p.out = DType::f32; });
        if (own_group == 0) {
            add({2, 72, 512, 128}, [&](auto& p) { p.scale = other; });
            add({17, 72, 512, 256}, [&](auto& p) { p.scale = DType::f32; });
            add({4, 33, 136, 0}, [&](auto& p) { p.scale = DType::f32; });
            add({3, 33, 13, 0}, [&](auto& p) { p.alignment_bytes = 2; });
        }
        if (is_integer(format)) {
            add({1, 80, 512, 128}, [](auto& p) { p.zeros = true; });
            add({9, 36, 192, 32}, [](auto& p) { p.zeros = true; });
            add({40, 100, 192, 64}, [](auto& p) { p.zeros = true; });
            add({70, 72, 640, 128}, [](auto& p) { p.zeros = true; });
            add({1, 80, 512, 128}, [](auto& p) { p.order = true; });
            add({20, 36, 192, 32}, [](auto& p) { p.order = p.zeros = true; });
        }
        add({3, 40, 128, 64}, [](auto& p) { p.alignment_bytes = 2; });
        const auto grouped = [](Grouping grouping, i64 groups) {
            return [=](auto& p) { p.grouping = grouping, p.groups = groups; };
        };
        add({7, 72, 128, 64}, grouped(Grouping::masked, 4));
        add({13, 40, 256, 128}, grouped(Grouping::masked, 3));
        if (dtype == DType::bf16) {
            add({40, 72, 128, 64}, grouped(Grouping::masked, 3));
            add({300, 72, 128, 128}, grouped(Grouping::contiguous, 3));
        }
        if (format == WeightFormat::int4) {
            const auto all = [](Grouping grouping) {
                return [=](auto& p) {
                    p.grouping = grouping, p.groups = 2, p.zeros = p.bias = p.gate = p.residual = true;
                };
            };
            add({9, 40, 128, 64}, all(Grouping::masked));
            add({260, 40, 64, 64}, all(Grouping::contiguous));
            add({3, 40, 128, 64},
                [](auto& p) { p.grouping = Grouping::masked, p.groups = 3, p.order = true; });
        }
        // Every part of the epilogue, few rows of A and more than a stream row takes; it is the same for all
        // formats.
        const int last = format == WeightFormat::int4 ? 8 : 1;
        for (int i = 0; i < last; ++i) {
            for (const i64 m : {3, 21}) {
                add({m, 40 + (i % 3 == 0), 64, 64}, [&](auto& p) {
                    p.bias = (i & 1) != 0, p.gate = (i & 2) != 0, p.residual = (i & 4) != 0;
                    p.activation = static_cast<Activation>((i + m) % 4);
                    if (i == 5) p.out = DType::f32;
                });
            }
        }
        add({70, 136, 256, 128}, [](auto& p) { p.out = DType::u8; });
        add({3, 130, 320, 64}, [](auto& p) { p.out = DType::u8; });
        add({9, 72, 192, 64}, [](auto& p) {
            p.out = DType::u8, p.bias = p.gate = p.residual = true, p.activation = Activation::silu;
        });
        add({5, 33, 128, 64}, [](auto& p) { p.out = DType::u8, p.alignment_bytes = 2; });
    }
};

}  // namespace

const OperationCheck& quantized_gemm_check() {
    static const OperationCheckOf<QuantizedGemmCheck> check;
    return check;
}

}  // namespace warpwright
