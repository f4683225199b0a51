// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/quantized_gemm.h"

#include <algorithm>
#include <cmath>

#include "check/ops/checks.h"
#include "kernels/quantized_gemm/operation.h"
#include "kernels/quantized_gemm/oracle.h"
#include "kernels/quantized_gemm/pack.h"

namespace warpwright {
namespace {

using formats::Code;
using formats::QuantizedMatrix;
using formats::ScaleCode;

// A weight of random codes and scales, plain and packed, and its numbers less zero points in packed order.
struct Weight {
    QuantizedMatrix plain;
    PackedWeight packed;
    std::vector<float> values, scales;
    Status status;
};

Code code_of(WeightFormat format) {
    switch (format) {
        case WeightFormat::int4: return Code::u4;
        case WeightFormat::int8: return Code::u8;
        case WeightFormat::fp8_e4m3: return Code::e4m3;
        case WeightFormat::mxfp4:
        case WeightFormat::nvfp4: break;
    }
    return Code::e2m1;
}

// Scales so that results are about one. Those of nvfp4 are near 16, which the global scale takes away.
void draw_scales(std::mt19937_64& random, const QuantizedGemmProblem& p, double typical, QuantizedMatrix& m) {
    const auto count = static_cast<std::size_t>(m.row_groups() * m.column_groups());
    std::uniform_real_distribution<float> spread(0.5f, 2);
    if (p.format == WeightFormat::nvfp4) m.global_scale = static_cast<float>(typical / 16);
    for (std::size_t i = 0; i < count; ++i) {
        if (p.format == WeightFormat::mxfp4) {
            m.scale_code = ScaleCode::e8m0;
            m.scale_codes.push_back(
                static_cast<u8>(126 + std::ilogb(typical) + static_cast<int>(random() % 3)));
            m.scales.push_back(formats::decode_e8m0(m.scale_codes.back()));
        } else if (p.format == WeightFormat::nvfp4) {
            m.scale_code = ScaleCode::e4m3;
            m.scale_codes.push_back(static_cast<u8>(0x50 + random() % 32));  // 8 to 120
            m.scales.push_back(formats::decode(formats::kE4M3, m.scale_codes.back()) * m.global_scale);
        } else {
            m.scales.push_back(round_to(p.scale, static_cast<float>(typical) * spread(random)));
        }
    }
}

QuantizedMatrix random_matrix(std::mt19937_64& random, const QuantizedGemmProblem& p) {
    const WeightFormatFacts facts = facts_of(p.format);
    QuantizedMatrix m{.rows = p.n, .columns = p.k, .code = code_of(p.format)};
    m.group_columns = p.group == 0 ? p.k : p.group;
    m.codes.resize(static_cast<std::size_t>(p.n * p.k));
    for (u8& code : m.codes) {
        code = static_cast<u8>(random() & ((1u << facts.bits) - 1));
        if (m.code == Code::e4m3) code &= 0xf7;  // no NaN, every exponent
    }
    const double largest_code = is_integer(p.format) ? 1 << (facts.bits - 1) : m.code == Code::e4m3 ? 100 : 4;
    draw_scales(random, p, 1 / (largest_code * std::sqrt(static_cast<double>(p.k))), m);
    if (p.zeros) {
        m.zeros.resize(m.scales.size());
        for (i16& zero : m.zeros) zero = static_cast<i16>(random() & ((1u << facts.bits) - 1));
    }
    if (p.order) {
        for (i64 i = 0; i < p.k; ++i) m.column_group.push_back(static_cast<i32>(i / m.group_columns));
        std::shuffle(m.column_group.begin(), m.column_group.end(), random);
    }
    return m;
}

Weight random_weight(std::mt19937_64 random, const QuantizedGemmProblem& p) {
    Weight w{.plain = random_matrix(random, p)};
    const QuantizedMatrix& m = w.plain;
    auto packed = pack_weight(m);
    if (!packed.ok()) {
        w.status = packed.status();
        return w;
    }
    w.packed = std::move(*packed);
    const i64 groups = m.column_groups();
    for (i64 n = 0; n < p.n; ++n) {
        for (i64 k = 0; k < p.k; ++k) {
            const i64 column = w.packed.order.empty() ? k : w.packed.order[k];
            const i64 index = n * groups + m.group_of(column);
            const float zero = m.zeros.empty() ? static_cast<float>(formats::facts_of(m.code).symmetric_zero)
                                               : static_cast<float>(m.zeros[index]);
            w.values.push_back(formats::decode(m.code, m.codes[n * p.k + column]) - zero);
        }
        for (i64 g = 0; g < groups; ++g) {
            const i64 index = n * groups + g;
            w.scales.push_back(m.scale_codes.empty() ? m.scales[index]
                               : m.scale_code == ScaleCode::e8m0
                                   ? formats::decode_e8m0(m.scale_codes[index])
                                   : formats::decode(formats::kE4M3, m.scale_codes[index]));
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
                                 .group = packed.group,
                                 .data = bench.bytes(std::as_bytes(std::span(packed.data)), DType::u8),
                                 .scales = bench.bytes(packed.scales, packed.scale_type),
                                 .global_scale = packed.global_scale},
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
                                       packed.global_scale};
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
    }
};

}  // namespace

const OperationCheck& quantized_gemm_check() {
    static const OperationCheckOf<QuantizedGemmCheck> check;
    return check;
}

}  // namespace warpwright
