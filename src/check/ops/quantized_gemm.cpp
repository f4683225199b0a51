// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/quantized_gemm.h"

#include <cmath>
#include <numeric>

#include "check/ops/checks.h"
#include "kernels/quantized_gemm/operation.h"
#include "kernels/quantized_gemm/oracle.h"
#include "kernels/quantized_gemm/pack.h"

namespace warpwright {
namespace {

// A weight of random codes and scales as numbers and as packed bytes.
struct Weight {
    std::vector<float> values, scales;
    PackedWeight packed;
    float global_scale = 1;
    Status status;
};

// Scales so that results are about one. Those of a byte are near a power of two that global_scale takes away.
std::vector<std::byte> random_scales(std::mt19937_64& random, const QuantizedGemmProblem& p, i64 count,
                                     double typical, float& global_scale) {
    std::vector<std::byte> scales(static_cast<std::size_t>(count * dtype_bytes(p.scale)));
    std::uniform_real_distribution<float> spread(0.5f, 2);
    if (p.format == WeightFormat::nvfp4) global_scale = static_cast<float>(typical / 16);
    for (i64 i = 0; i < count; ++i) {
        if (p.format == WeightFormat::mxfp4) {
            const int exponent = std::ilogb(typical) + static_cast<int>(random() % 3);
            scales[i] = static_cast<std::byte>(127 - 1 + exponent);
        } else if (p.format == WeightFormat::nvfp4) {
            scales[i] = static_cast<std::byte>(0x50 + random() % 32);  // 8 to 120
        } else {
            store_float(scales.data(), p.scale, i, static_cast<float>(typical) * spread(random));
        }
    }
    return scales;
}

Weight random_weight(std::mt19937_64 random, const QuantizedGemmProblem& p) {
    Weight w;
    const i64 group = p.group == 0 ? p.k : p.group, num_groups = p.k / group;
    const WeightFormatFacts facts = facts_of(p.format);
    std::vector<u8> codes(static_cast<std::size_t>(p.n * p.k));
    for (u8& code : codes) {
        code = static_cast<u8>(random() & ((1u << facts.bits) - 1));
        if (p.format == WeightFormat::fp8_e4m3) code &= 0xf7;  // no NaN, every exponent
    }
    std::vector<u8> zeros(p.zeros ? static_cast<std::size_t>(p.n * num_groups) : 0);
    for (u8& zero : zeros) zero = static_cast<u8>(random() & ((1u << facts.bits) - 1));
    const double largest_code = is_integer(p.format)                 ? 1 << (facts.bits - 1)
                                : p.format == WeightFormat::fp8_e4m3 ? 100
                                                                     : 4;
    const double typical = 1 / (largest_code * std::sqrt(static_cast<double>(p.k)));
    const std::vector<std::byte> scales = random_scales(random, p, p.n * num_groups, typical, w.global_scale);
    std::vector<i32> group_of;
    if (p.order) {
        for (i64 i = 0; i < p.k; ++i) group_of.push_back(static_cast<i32>(i / group));
        std::shuffle(group_of.begin(), group_of.end(), random);
    }
    auto packed = pack_weight({.format = p.format,
                               .n = p.n,
                               .k = p.k,
                               .group = p.group,
                               .codes = codes,
                               .scale_type = p.scale,
                               .scales = scales,
                               .zeros = zeros,
                               .group_of = group_of});
    if (!packed.ok()) {
        w.status = packed.status();
        return w;
    }
    w.packed = std::move(*packed);
    w.values.resize(codes.size());
    w.scales.resize(static_cast<std::size_t>(p.n * num_groups));
    for (i64 n = 0; n < p.n; ++n) {
        for (i64 g = 0; g < num_groups; ++g) {
            const i64 index = n * num_groups + g;
            w.scales[index] = scale_to_float(p.format, p.scale, scales.data(), index);
            const int zero = p.zeros ? zeros[index] : facts.zero;
            for (i64 k = g * group; k < (g + 1) * group; ++k) {
                const i64 column = w.packed.order.empty() ? k : w.packed.order[k];
                w.values[n * p.k + k] = code_to_float(p.format, codes[n * p.k + column], zero);
            }
        }
    }
    return w;
}

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

struct QuantizedGemmAnswer {
    std::vector<double> oracle;
    std::vector<float> reference;
    double magnitude = 0;
};

QuantizedGemmAnswer answer_of(const QuantizedGemmOperands& operands, DType out) {
    QuantizedGemmAnswer answer{quantized_gemm_oracle<double>(operands),
                               quantized_gemm_oracle<float>(operands), magnitude_of(operands)};
    for (float& value : answer.reference) value = round_to(out, value);
    return answer;
}

// A view of [rows, columns] in rows of `stride` elements.
Tensor narrowed(Tensor whole, i64 columns) {
    whole.shape[1] = columns;
    return whole;
}

std::vector<float> read(Workbench& bench, const Tensor& view) {
    const Tensor whole = Tensor::dense(view.data, view.dtype, {view.shape[0], view.stride[0]});
    const std::vector<float> all = bench.read(whole);
    std::vector<float> values;
    for (i64 i = 0; i < view.shape[0]; ++i) {
        const auto row = all.begin() + i * view.stride[0];
        values.insert(values.end(), row, row + view.shape[1]);
    }
    return values;
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
        const i64 pad = (p.m + p.n) % 3 * 8;  // two of three problems have gaps between rows
        const i64 k_stride = misaligned ? p.k + pad / 8 : round_up(p.k, 8) + pad, n_stride = p.n + pad;
        const Tensor a = narrowed(bench.input(p.dtype, {p.m, k_stride}, 1, misaligned), p.k);
        const Weight& weight = bench.answer("weight", [&] { return random_weight(bench.random(), p); });
        if (!weight.status.ok())
            return judge(result, bench, {false, 0, 0, weight.status.message()}, "weight");
        const PackedWeight& packed = weight.packed;
        QuantizedGemm call{.a = a,
                           .b = {.format = p.format,
                                 .n = p.n,
                                 .k = p.k,
                                 .group = p.group,
                                 .data = bench.bytes(std::as_bytes(std::span(packed.data)), DType::u8),
                                 .scales = bench.bytes(packed.scales, p.scale),
                                 .global_scale = weight.global_scale},
                           .d = narrowed(bench.output(p.out, {p.m, n_stride}, misaligned), p.n),
                           .activation = p.activation,
                           .b_is_constant = p.n % 2 == 0};
        if (p.zeros) call.b.zeros = bench.bytes(std::as_bytes(std::span(packed.zeros)), DType::u8);
        if (p.order) call.b.order = bench.integers(packed.order);
        QuantizedGemmOperands operands{{p.m, p.n, p.k, read(bench, a), {}, {}, {}, {}, p.activation},
                                       p.group,
                                       weight.values,
                                       weight.scales,
                                       packed.order,
                                       weight.global_scale};
        if (p.bias) {
            call.bias = bench.input(p.dtype, {p.n}, 1, misaligned);
            operands.gemm.bias = bench.read(call.bias);
        }
        if (p.gate) {
            call.gate = narrowed(bench.input(p.dtype, {p.m, n_stride}, 1, misaligned), p.n);
            operands.gemm.gate = read(bench, call.gate);
        }
        if (p.residual) {
            call.residual = narrowed(bench.input(p.out, {p.m, n_stride}, 1, misaligned), p.n);
            operands.gemm.residual = read(bench, call.residual);
        }
        const Status status = quantized_gemm(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const QuantizedGemmAnswer& answer =
            bench.answer("quantized_gemm", [&] { return answer_of(operands, p.out); });
        judge(result, bench, compare(read(bench, call.d), answer.oracle, answer.reference, answer.magnitude),
              "d");
        // Gaps between rows of d keep their fill, which reads as NaN.
        const std::vector<float> whole = bench.read(Tensor::dense(call.d.data, p.out, {p.m, n_stride}));
        for (i64 i = 0; i < p.m * n_stride; ++i) {
            if (i % n_stride < p.n || std::isnan(whole[i])) continue;
            return judge(result, bench, {false, 0, 0, "wrote between the rows"}, "d");
        }
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
                              {130, 136, 256, 128}}) {
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
            add({1, 80, 512, 128}, [](auto& p) { p.order = true; });
            add({20, 36, 192, 32}, [](auto& p) { p.order = p.zeros = true; });
        }
        add({3, 40, 128, 64}, [](auto& p) { p.alignment_bytes = 2; });
        // Every part of the epilogue, few rows of A and more than a stream row takes.
        for (int i = 0; i < 8; ++i) {
            for (const i64 m : {3, 21}) {
                add({m, 40 + (i % 3 == 0), 64, 64}, [&](auto& p) {
                    p.bias = (i & 1) != 0, p.gate = (i & 2) != 0, p.residual = (i & 4) != 0;
                    p.activation = static_cast<Activation>((i + m) % 4);
                    if (i == 5) p.out = DType::f32;
                });
            }
        }
    }
};

}  // namespace

const OperationCheck& quantized_gemm_check() {
    static const OperationCheckOf<QuantizedGemmCheck> check;
    return check;
}

}  // namespace warpwright
