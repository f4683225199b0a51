// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/scaled_gemm.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "check/ops/checks.h"
#include "check/ops/product_codes.h"
#include "check/ops/row_gaps.h"
#include "check/ops/row_groups.h"
#include "formats/codecs.h"
#include "kernels/scaled_gemm/operation.h"
#include "kernels/scaled_gemm/oracle.h"

namespace warpwright {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Codes of [groups, rows, columns] in rows of `stride`, their values without gaps, and scales likewise.
struct Operand {
    std::vector<u8> codes;
    std::vector<float> values;
    std::vector<float> scales;  // [groups, rows of scales, parts]
    std::vector<u8> scale_codes;
    i64 scale_rows = 0, parts = 0;
};

u8 random_code(std::mt19937_64& random, CodeType code) {
    std::normal_distribution<float> normal(0, 40);
    const float value = normal(random);
    if (code == CodeType::e4m3) return formats::encode(formats::kE4M3, value);
    return static_cast<u8>(static_cast<i8>(std::lround(std::clamp(value, -128.0F, 127.0F))));
}
float value_of(CodeType code, u8 bits) {
    return code == CodeType::i8 ? static_cast<float>(static_cast<i8>(bits))
                                : formats::decode(formats::kE4M3, bits);
}

// `scale_rows`: of a group. Scales are near `typical`.
Operand random_operand(std::mt19937_64& random, const ScaledGemmProblem& p, i64 groups, i64 rows, i64 stride,
                       i64 scale_rows, double typical) {
    Operand x{.scale_rows = scale_rows};
    for (i64 i = 0; i < groups * rows; ++i) {
        for (i64 k = 0; k < stride; ++k) {
            x.codes.push_back(random_code(random, p.code));
            if (k < p.k) x.values.push_back(value_of(p.code, x.codes.back()));
        }
    }
    x.parts = p.scaling == Scaling::outer ? 1 : ceil_div(p.k, group_k(p.scaling));
    std::uniform_real_distribution<float> spread(0.5F, 2);
    for (i64 i = 0; i < groups * scale_rows * x.parts; ++i) {
        if (p.scaling == Scaling::mx) {
            x.scale_codes.push_back(
                static_cast<u8>(127 + std::ilogb(typical) + static_cast<int>(random() % 4) - 2));
            x.scales.push_back(formats::decode_e8m0(x.scale_codes.back()));
        } else {
            x.scales.push_back(static_cast<float>(typical) * spread(random));
        }
    }
    return x;
}

// All inputs as numbers, without gaps between rows.
struct Inputs {
    Operand a, b;
    RowGroups groups;
    std::vector<i32> a_zeros;
    std::vector<float> bias, gate, residual;
};

std::vector<float> part_of(const std::vector<float>& all, i64 first, i64 count) {
    return all.empty() ? all : std::vector<float>(all.begin() + first, all.begin() + first + count);
}

ScaledGemmOperands operands_of(const ScaledGemmProblem& p, const Inputs& x, const RowGroups::Part& rows) {
    const i64 m = rows.count;
    ScaledGemmOperands o{.gemm = {.m = m,
                                  .n = p.n,
                                  .k = p.k,
                                  .a = part_of(x.a.values, rows.first * p.k, m * p.k),
                                  .b = part_of(x.b.values, rows.group * p.n * p.k, p.n * p.k),
                                  .bias = part_of(x.bias, rows.group * p.n, p.n),
                                  .gate = part_of(x.gate, rows.first * p.n, m * p.n),
                                  .residual = part_of(x.residual, rows.first * p.n, m * p.n),
                                  .activation = p.activation},
                         .scaling = p.scaling};
    const i64 parts = x.a.parts, rows_a_scale = p.grouping == Grouping::masked ? p.m : 0;
    for (i64 i = 0; i < m; ++i) {
        // Of a group's own scales where it has some.
        const i64 row = rows.first + i;
        const i64 of_rows = x.a.scale_rows > 1 ? row : rows_a_scale > 0 ? row / rows_a_scale : 0;
        for (i64 part = 0; part < parts; ++part) o.a_scales.push_back(x.a.scales[of_rows * parts + part]);
        if (x.a_zeros.empty()) continue;
        const auto zero = static_cast<float>(x.a_zeros[x.a_zeros.size() > 1 ? row : 0]);
        for (i64 k = 0; k < p.k; ++k) o.gemm.a[i * p.k + k] -= zero;
    }
    const i64 a_scale = p.scaling == Scaling::blocks ? kScaleRowsOfB : 1;
    for (i64 n = 0; n < p.n; ++n) {
        const i64 row = rows.group * x.b.scale_rows + (x.b.scale_rows > 1 ? n / a_scale : 0);
        for (i64 part = 0; part < parts; ++part) o.b_scales.push_back(x.b.scales[row * parts + part]);
    }
    return o;
}

// The largest sum of absolute values that one output adds up.
double magnitude_of(ScaledGemmOperands x) {
    for (auto* values : {&x.gemm.a, &x.gemm.b, &x.gemm.bias, &x.gemm.residual}) {
        for (float& value : *values) value = std::isnan(value) ? 0 : std::abs(value);
    }
    for (float& value : x.gemm.gate) value = std::abs(activate(x.gemm.activation, value));
    x.gemm.activation = Activation::none;
    const std::vector<float> sums = scaled_gemm_oracle<float>(x);
    return largest({sums.begin(), sums.end()});
}

struct ScaledGemmAnswer {
    std::vector<double> oracle;
    std::vector<float> reference;
    double magnitude = 0;
    double amax = 0;  // of what codes are made of
    float reference_amax = 0;
};

// Rows that do not exist keep their fill, which reads as NaN.
ScaledGemmAnswer answer_of(const ScaledGemmProblem& p, const Inputs& x, bool is_ada) {
    const i64 rows = p.m * (p.grouping == Grouping::masked ? p.groups : 1);
    const auto size = static_cast<std::size_t>(rows * p.n);
    ScaledGemmAnswer answer{std::vector<double>(size, kNan), std::vector<float>(size, kNan)};
    for (const RowGroups::Part& part : x.groups.parts) {
        if (part.count == 0) continue;
        const ScaledGemmOperands operands = operands_of(p, x, part);
        std::ranges::copy(scaled_gemm_oracle<double>(operands), answer.oracle.begin() + part.first * p.n);
        std::vector<float> reference =
            is_ada ? scaled_gemm_oracle<float, AdaSum>(operands) : scaled_gemm_oracle<float>(operands);
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

// [groups, rows, columns] or [rows, columns] of rows of `stride` elements.
Tensor view(void* data, DType type, i64 groups, i64 rows, i64 columns, i64 stride) {
    if (groups == 0) {
        Tensor tensor = Tensor::dense(data, type, {rows, stride});
        tensor.shape[1] = columns;
        return tensor;
    }
    Tensor tensor = Tensor::dense(data, type, {groups, rows, stride});
    tensor.shape[2] = columns;
    return tensor;
}

struct ScaledGemmCheck {
    using Op = ScaledGemmOp;
    using Problem = ScaledGemmProblem;

    static std::vector<Problem> problems() {
        std::vector<Problem> problems;
        add_problems(problems, CodeType::i8, Scaling::outer);
        for (const Scaling scaling : {Scaling::outer, Scaling::blocks, Scaling::mx})
            add_problems(problems, CodeType::e4m3, scaling);
        return problems;
    }

    static void run(Workbench& bench, const Problem& p, CheckResult& result) {
        const bool masked = p.grouping == Grouping::masked, grouped = p.grouping != Grouping::none;
        const bool misaligned = p.alignment_bytes < 16;
        const bool has_codes = p.out == DType::u8;
        const i64 pad = has_codes ? 0 : (p.m + p.n) % 3 * 16;  // two of three problems have gaps between rows
        const i64 k_stride = misaligned ? p.k + pad / 16 : round_up(p.k, 16) + pad, n_stride = p.n + pad;
        const i64 a_groups = masked ? p.groups : 0, b_groups = grouped ? p.groups : 0;
        const bool a_per_tensor = p.scaling == Scaling::outer && p.k % 3 == 1;
        const bool b_per_tensor = p.scaling == Scaling::outer && p.n % 3 == 1;
        Inputs x = bench.answer("codes", [&] {
            std::mt19937_64 random = bench.random();
            // Results of about one: activations are tested where they bend.
            const double typical = 1 / (40 * std::sqrt(std::sqrt(static_cast<double>(p.k))));
            Inputs drawn;
            drawn.a = random_operand(random, p, masked ? p.groups : 1, p.m, k_stride, a_per_tensor ? 1 : p.m,
                                     typical);
            const i64 rows_b = p.scaling == Scaling::blocks ? ceil_div(p.n, kScaleRowsOfB) : p.n;
            drawn.b = random_operand(random, p, p.groups, p.n, k_stride, b_per_tensor ? 1 : rows_b, typical);
            drawn.groups = random_row_groups(random, p.grouping, p.groups, p.m);
            if (p.code == CodeType::e4m3 && p.m % 5 == 0) {  // a NaN makes its row NaN
                drawn.a.codes[(p.m - 1) * k_stride + p.k / 2] = 0xff;
                drawn.a.values[(p.m - 1) * p.k + p.k / 2] = kNan;
            }
            return drawn;
        });

        ScaledGemm call{
            .activation = p.activation, .b_is_constant = p.n % 2 == 0, .expected_m = p.expected_m};
        call.a_format = format_of(p, false, a_per_tensor);
        call.b_format = format_of(p, true, b_per_tensor);
        call.a = view(bytes(bench, x.a.codes, misaligned), DType::u8, a_groups, p.m, p.k, k_stride);
        call.b = view(bytes(bench, x.b.codes, misaligned), DType::u8, b_groups, p.n, p.k, k_stride);
        call.a_scales = scales(bench, x.a, a_groups, p.n % 2 == 0);
        call.b_scales = scales(bench, x.b, b_groups, false);
        const i64 rows = p.m * std::max<i64>(1, a_groups);
        const Tensor d = bench.output(p.out, {rows, n_stride}, misaligned);
        call.d = view(d.data, p.out, a_groups, p.m, p.n, n_stride);
        if (p.bias) {
            const Tensor bias = bench.input(p.dtype, {std::max<i64>(1, b_groups), p.n}, 1, misaligned);
            call.bias = bias;
            x.bias = bench.read(bias);
            if (b_groups == 0) call.bias = Tensor::dense(bias.data, p.dtype, {p.n});
        }
        const auto like_d = [&](DType type, Tensor& tensor, std::vector<float>& values) {
            const Tensor whole = bench.input(type, {rows, n_stride}, 1, misaligned);
            tensor = view(whole.data, type, a_groups, p.m, p.n, n_stride);
            values = without_gaps(bench.read(whole), rows, p.n, n_stride);
        };
        if (p.gate) like_d(p.dtype, call.gate, x.gate);
        if (p.residual) like_d(has_codes ? p.dtype : p.out, call.residual, x.residual);
        if (has_codes) product_codes::ask_for(bench, call, p.n);
        if (p.code == CodeType::i8 && !masked && p.k % 2 == 0) {
            for (i64 i = 0; i < (p.m % 2 == 0 ? p.m : 1); ++i)
                x.a_zeros.push_back(static_cast<i32>(i * 37 % 256 - 128));
            call.a_zeros = bench.integers(x.a_zeros);
            call.b_sums = bench.integers(sums_of(x.b.values, p));
            if (grouped) call.b_sums = Tensor::dense(call.b_sums.data, DType::i32, {p.groups, p.n});
        }
        if (masked) call.rows_of_group = bench.integers(x.groups.list);
        if (p.grouping == Grouping::contiguous) call.group_of_row = bench.integers(x.groups.list);

        const Status status = scaled_gemm(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");
        // The precision that a row is entitled to is that of what it multiplies with.
        const bool is_ada =
            p.code == CodeType::e4m3 && bench.context().target().facts.compute_capability == 89;
        const ScaledGemmAnswer& answer = bench.answer(is_ada ? "scaled_gemm on Ada" : "scaled_gemm",
                                                      [&] { return answer_of(p, x, is_ada); });
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
    static QuantizeFormat format_of(const Problem& p, bool is_b, bool per_tensor) {
        if (p.scaling == Scaling::mx) return kMxfp8;
        if (p.scaling == Scaling::blocks) return is_b ? kFp8Blocks : kFp8Groups;
        return {p.code, ScaleType::f32, per_tensor ? 0 : 1, 0};
    }

    // `misaligned`: one byte past an aligned address.
    static void* bytes(Workbench& bench, const std::vector<u8>& codes, bool misaligned) {
        if (!misaligned) return bench.bytes(std::as_bytes(std::span(codes)), DType::u8).data;
        std::vector<u8> moved(1);
        moved.insert(moved.end(), codes.begin(), codes.end());
        return static_cast<u8*>(bench.bytes(std::as_bytes(std::span(moved)), DType::u8).data) + 1;
    }

    // `by_column`: as DeepGEMM has scales of A, with gaps between columns.
    static Tensor scales(Workbench& bench, const Operand& x, i64 groups, bool by_column) {
        const i64 num_groups = std::max<i64>(1, groups), rows = x.scale_rows, parts = x.parts;
        const i64 height = by_column ? round_up(rows, 4) : 1;
        const auto place = [&](const auto& values) {
            std::remove_cvref_t<decltype(values)> placed(
                static_cast<std::size_t>(num_groups * parts * (by_column ? height : rows)));
            for (i64 g = 0; g < num_groups; ++g) {
                for (i64 r = 0; r < rows; ++r) {
                    for (i64 i = 0; i < parts; ++i) {
                        const i64 to = by_column ? (g * parts + i) * height + r : (g * rows + r) * parts + i;
                        placed[to] = values[(g * rows + r) * parts + i];
                    }
                }
            }
            return placed;
        };
        const std::vector<float> numbers = x.scale_codes.empty() ? place(x.scales) : std::vector<float>();
        const std::vector<u8> codes = x.scale_codes.empty() ? std::vector<u8>() : place(x.scale_codes);
        Tensor tensor = x.scale_codes.empty() ? bench.bytes(std::as_bytes(std::span(numbers)), DType::f32)
                                              : bench.bytes(std::as_bytes(std::span(codes)), DType::u8);
        tensor = Tensor::dense(tensor.data, tensor.dtype, {num_groups, rows, parts});
        if (by_column) tensor.stride = {parts * height, 1, height};
        if (groups > 0) return tensor;
        tensor.rank = 2;
        tensor.shape = {rows, parts}, tensor.stride = {tensor.stride[1], tensor.stride[2]};
        return tensor;
    }

    static std::vector<i32> sums_of(const std::vector<float>& values, const Problem& p) {
        std::vector<i32> sums;
        for (i64 i = 0; i < p.groups * p.n; ++i) {
            double sum = 0;
            for (i64 k = 0; k < p.k; ++k) sum += values[i * p.k + k];
            sums.push_back(static_cast<i32>(sum));
        }
        return sums;
    }

    static void add_problems(std::vector<Problem>& problems, CodeType code, Scaling scaling) {
        Problem base{.code = code, .scaling = scaling};
        const auto add = [&](i64 m, i64 n, i64 k, auto&& change) {
            Problem p = base;
            p.m = m, p.n = n, p.k = k;
            change(p);
            problems.push_back(p);
        };
        const auto nothing = [](Problem&) {};
        struct Shape {
            i64 m, n, k;
        };
        for (const Shape s : {Shape{1, 1, 32},
                              {1, 132, 1024},
                              {4, 70, 320},
                              {16, 200, 256},
                              {17, 48, 640},
                              {33, 100, 416},
                              {70, 151, 512},
                              {130, 260, 384}}) {
            add(s.m, s.n, s.k, nothing);
        }
        add(3, 40, 256, [](Problem& p) { p.out = DType::f32; });
        add(9, 40, 288, [](Problem& p) { p.dtype = p.out = DType::f16; });
        add(3, 40, 160, [](Problem& p) { p.alignment_bytes = 1; });
        if (scaling != Scaling::mx) {
            add(2, 33, 1, nothing);
            add(20, 65, 203, nothing);
            add(65, 66, 131, [](Problem& p) { p.alignment_bytes = 1; });
        }
        // Every part of the epilogue; it is the same for all scalings.
        const int last = scaling == Scaling::outer ? 8 : 1;
        for (int i = 0; i < last; ++i) {
            add(21, 40 + (i % 3 == 0), 64, [&](Problem& p) {
                p.bias = (i & 1) != 0, p.gate = (i & 2) != 0, p.residual = (i & 4) != 0;
                p.activation = static_cast<Activation>(i % 4);
                if (i == 5) p.out = DType::f32;
                if (i == 6) p.dtype = p.out = DType::f16;
            });
        }
        // m is no multiple of five: a NaN is no code of i8.
        add(71, 136, 256, [](Problem& p) { p.out = DType::u8; });
        add(9, 72, 192, [](Problem& p) {
            p.out = DType::u8, p.bias = p.gate = p.residual = true, p.activation = Activation::silu;
        });
        add(7, 33, 128, [](Problem& p) { p.out = DType::u8, p.alignment_bytes = 1; });
        if (scaling == Scaling::outer) {
            add(18, 40, 96,
                [](Problem& p) { p.dtype = DType::f16, p.out = DType::u8, p.bias = p.residual = true; });
        }
        const auto grouped = [&](Grouping grouping, i64 groups, bool more) {
            return [=](Problem& p) {
                p.grouping = grouping, p.groups = groups;
                p.bias = p.gate = p.residual = more;
                if (more) p.activation = Activation::silu;
            };
        };
        add(400, 72, 128, grouped(Grouping::contiguous, 3, false));
        add(256, 136, 288, grouped(Grouping::contiguous, 4, true));
        add(20, 72, 128, grouped(Grouping::masked, 4, false));
        add(150, 40, 288, grouped(Grouping::masked, 3, true));
        if (scaling == Scaling::mx) return;
        add(300, 33, 70, [&](Problem& p) {
            grouped(Grouping::contiguous, 2, false)(p);
            p.alignment_bytes = 1;
        });
    }
};

}  // namespace

const OperationCheck& scaled_gemm_check() {
    static const OperationCheckOf<ScaledGemmCheck> check;
    return check;
}

}  // namespace warpwright
