// SPDX-License-Identifier: Apache-2.0
#include "ops/quantized_experts.h"

#include <cmath>
#include <limits>

#include "check/ops/checks.h"
#include "check/ops/packed_weights.h"
#include "check/ops/row_gaps.h"
#include "kernels/grouped_gemm/oracle.h"
#include "kernels/quantized_experts/operation.h"

namespace warpwright {
namespace {

using packed_weights::joined;
using packed_weights::joined_bytes;
using packed_weights::Weight;
using Problem = QuantizedExpertsProblem;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Answer {
    std::vector<double> oracle;
    std::vector<float> reference;
    double magnitude = 0;
};

double magnitude_of(GroupedGemmOperands x) {
    for (auto* values : {&x.a, &x.b, &x.b_gate, &x.bias, &x.gate_bias}) {
        for (float& value : *values) value = std::abs(value);
    }
    x.activation = Activation::none;
    x.limit = std::numeric_limits<float>::infinity(), x.alpha = 1, x.up_offset = std::abs(x.up_offset);
    const std::vector<float> sums = grouped_gemm_oracle<float>(x, 0);
    return largest({sums.begin(), sums.end()});
}

// Choices of every expert and of none; the second token has one for all, the last of several none.
std::vector<i32> random_ids(std::mt19937_64 random, const Problem& p) {
    std::vector<i32> ids;
    for (i64 slot = 0; slot < p.m * p.top_k; ++slot) {
        const i64 token = slot / p.top_k;
        const auto id = static_cast<i32>(random() % static_cast<u64>(p.groups));
        const bool none = (token == p.m - 1 && token > 1) || random() % 9 == 0;
        ids.push_back(token == 1 ? ids[0] : none ? (slot % 2 == 0 ? -1 : id + 1000000) : id);
    }
    return ids;
}

// A weight of every expert.
struct Weights {
    std::vector<Weight> all;

    Weights(std::mt19937_64 random, const Problem& p) {
        const QuantizedGemmProblem one{.n = p.n,
                                       .k = p.k,
                                       .dtype = p.dtype,
                                       .format = p.format,
                                       .group = p.group,
                                       .scale = p.scale,
                                       .zeros = p.zeros};
        for (i64 g = 0; g < p.groups; ++g) all.push_back(packed_weights::random_weight(random, one));
    }
    QuantizedWeight on(Workbench& bench, const Problem& p) const {
        const PackedWeight& first = all.front().packed;
        QuantizedWeight b{.format = p.format,
                          .groups = p.groups,
                          .n = p.n,
                          .k = p.k,
                          .group = first.group,
                          .data = joined_bytes(bench, all, &PackedWeight::data),
                          .scales = bench.bytes(joined(all, &PackedWeight::scales), first.scale_type),
                          .global_scale = first.global_scale};
        if (p.zeros) b.zeros = joined_bytes(bench, all, &PackedWeight::zeros);
        std::vector<float> scales;
        for (const Weight& w : all) scales.push_back(w.packed.global_scale);
        b.global_scales = bench.bytes(std::as_bytes(std::span(scales)), DType::f32);
        return b;
    }
    std::vector<float> numbers(const Problem& p) const {
        const i64 group = p.group == 0 ? p.k : p.group;
        std::vector<float> numbers;
        for (const Weight& w : all) {
            for (i64 i = 0; i < p.n * p.k; ++i)
                numbers.push_back(w.values[i] * w.scales[i / p.k * (p.k / group) + i % p.k / group] *
                                  w.packed.global_scale);
        }
        return numbers;
    }
    Status status() const {
        for (const Weight& w : all) {
            if (!w.status.ok()) return w.status;
        }
        return {};
    }
};

struct QuantizedExpertsCheck {
    using Op = QuantizedExpertsOp;

    static std::vector<Problem> problems() {
        std::vector<Problem> problems;
        for (int f = 0; f < kNumWeightFormats; ++f) {
            for (const DType dtype : {DType::bf16, DType::f16})
                add_problems(problems, static_cast<WeightFormat>(f), dtype);
        }
        return problems;
    }

    static void run(Workbench& bench, const Problem& p, CheckResult& result) {
        const i64 slots = p.m * p.top_k, pad = (p.m + p.n) % 3 * 8;
        const i64 k_stride = round_up(p.k, 8) + pad, n_stride = p.n + pad;
        // Down takes what up has made.
        const bool a_of_slots = p.top_k > 1 && !p.gated;
        const i64 rows_of_a = a_of_slots ? slots : p.m;
        const auto matrix = [&](i64 rows, i64 columns, i64 stride, std::vector<float>& values) {
            Tensor whole = bench.input(p.dtype, {rows, stride}, 1);
            values = without_gaps(bench.read(whole), rows, columns, stride);
            whole.shape[1] = columns;
            return whole;
        };
        GroupedGemmOperands x{.rows_of_d = slots, .n = p.n, .k = p.k};
        x.activation = p.activation;
        x.limit = std::numeric_limits<float>::infinity();
        if (p.gated && p.n % 3 == 0) x.limit = 1.5F, x.alpha = 1.702F, x.up_offset = 1;  // gpt-oss
        QuantizedExperts call{.a = matrix(rows_of_a, p.k, k_stride, x.a),
                              .activation = p.activation,
                              .limit = x.limit,
                              .alpha = x.alpha,
                              .up_offset = x.up_offset,
                              .b_is_constant = p.n % 2 == 0,
                              .ids_are_constant = p.n % 4 == 0,
                              .expected_groups = p.expected_groups};
        const Weights b = bench.answer("b", [&] { return Weights(bench.random(), p); });
        if (const Status status = b.status(); !status.ok())
            return judge(result, bench, {false, 0, 0, status.message()}, "weight");
        x.b = b.numbers(p);
        call.b = b.on(bench, p);
        if (p.gated) {
            const Weights gate = bench.answer("gate", [&] {
                std::mt19937_64 random = bench.random();
                random.discard(1);
                return Weights(random, p);
            });
            x.b_gate = gate.numbers(p);
            call.b_gate = gate.on(bench, p);
        }
        if (p.bias) {
            call.bias = bench.input(p.dtype, {p.groups, p.n}, 1);
            x.bias = bench.read(call.bias);
            if (p.gated) {
                call.gate_bias = bench.input(p.dtype, {p.groups, p.n}, 1);
                x.gate_bias = bench.read(call.gate_bias);
            }
        }
        const std::vector<i32> ids = random_ids(bench.random(), p);
        call.ids = Tensor::dense(bench.integers(ids).data, DType::i32, {p.m, p.top_k});
        std::vector<i32> row_of_slot;
        for (i64 slot = 0; slot < slots; ++slot) {
            const i32 id = ids[static_cast<std::size_t>(slot)];
            const bool there = id >= 0 && id < p.groups;
            row_of_slot.push_back(there ? static_cast<i32>(slot) : -1);
            if (there) x.rows.push_back({slot, a_of_slots ? slot : slot / p.top_k, id, 1});
        }
        if (p.m > 2) call.row_of_slot = bench.output(DType::i32, {p.m, p.top_k});
        const Tensor d = bench.output(p.dtype, {slots, n_stride});
        call.d = d;
        call.d.shape[1] = p.n;
        Prepared prepared;
        Status status = prepare(bench.context(), call, prepared);
        if (status.ok()) status = prepared.launch(bench.context().device(), bench.stream());
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const Answer& answer = bench.answer("quantized_experts", [&] {
            Answer made{grouped_gemm_oracle<double>(x, kNan), grouped_gemm_oracle<float>(x, kNan),
                        magnitude_of(x)};
            for (float& value : made.reference) value = round_to(p.dtype, value);
            return made;
        });
        const std::vector<float> whole = bench.read(d);
        judge(result, bench,
              compare(without_gaps(whole, slots, p.n, n_stride), answer.oracle, answer.reference,
                      answer.magnitude),
              "d");
        if (call.row_of_slot) {
            const bool same = bench.read_integers(call.row_of_slot) == row_of_slot;
            judge(result, bench, {same, 0, 0, same ? "" : "other rows"}, "row_of_slot");
        }
        judge_gaps(result, bench, whole, slots, p.n, n_stride);
    }

private:
    static void add_problems(std::vector<Problem>& problems, WeightFormat format, DType dtype) {
        const i64 own_group = facts_of(format).group;
        const auto add = [&](Problem p) {
            p.dtype = dtype, p.format = format;
            if (own_group != 0) p.group = own_group;
            p.scale = own_group != 0 ? DType::u8 : p.scale == DType::f32 ? DType::f32 : dtype;
            problems.push_back(p);
        };
        const auto silu = Activation::silu;
        add({.m = 1,
             .n = 72,
             .k = 384,
             .group = 128,
             .groups = 9,
             .top_k = 4,
             .gated = true,
             .activation = silu});
        add({.m = 5,
             .n = 40,
             .k = 192,
             .group = 64,
             .groups = 6,
             .top_k = 2,
             .gated = true,
             .bias = true,
             .activation = silu});
        add({.m = 3, .n = 65, .k = 256, .group = 32, .groups = 7, .top_k = 3});
        add({.m = 8, .n = 36, .k = 128, .group = 0, .groups = 40, .top_k = 4, .bias = true});
        // An expert's tokens eight at a time, and rows for moe_combine.
        add({.m = 21, .n = 33, .k = 128, .group = 64, .groups = 2, .top_k = 2, .bias = true});
        if (format != WeightFormat::int4) return;
        add({.m = 1,
             .n = 130,
             .k = 136,
             .group = 0,
             .scale = DType::f32,
             .groups = 3,
             .top_k = 1,
             .gated = true,
             .activation = Activation::gelu});
        add({.m = 12,
             .n = 40,
             .k = 96,
             .group = 32,
             .zeros = true,
             .groups = 70,
             .top_k = 5,
             .gated = true,
             .activation = silu});
        add({.m = 2, .n = 48, .k = 256, .group = 128, .zeros = true, .groups = 300, .top_k = 8});
    }
};

}  // namespace

const OperationCheck& quantized_experts_check() {
    static const OperationCheckOf<QuantizedExpertsCheck> check;
    return check;
}

}  // namespace warpwright
