// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/grouped_gemm.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "check/ops/checks.h"
#include "check/ops/row_gaps.h"
#include "check/ops/row_groups.h"
#include "kernels/grouped_gemm/operation.h"
#include "kernels/grouped_gemm/oracle.h"

namespace warpwright {
namespace {

using Problem = GroupedGemmProblem;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// What the lists of a problem say.
struct Lists {
    std::vector<i32> groups;    // group_of_row or rows_of_group
    std::vector<i32> row_of_a;  // or empty
    std::vector<i32> ids;
    std::vector<GroupedGemmOperands::Row> rows;
};

Lists random_lists(std::mt19937_64& random, const Problem& p, i64 rows_of_a) {
    Lists lists;
    if (p.by == RowsBy::rows) {
        const RowGroups groups = random_row_groups(random, p.grouping, p.groups, p.m, p.group_rows);
        lists.groups = groups.list;
        const i64 places = p.m * (p.grouping == Grouping::masked ? p.groups : 1);
        for (i64 i = 0; i < places && p.gather; ++i)
            lists.row_of_a.push_back(static_cast<i32>(random() % static_cast<u64>(rows_of_a)));
        for (const RowGroups::Part& part : groups.parts) {
            for (i64 i = part.first; i < part.first + part.count; ++i)
                lists.rows.push_back({i, p.gather ? lists.row_of_a[i] : i, part.group, 1});
        }
        // What is not a row's is said of rows that do not exist, and once of one that does.
        if (p.gather && p.grouping == Grouping::contiguous) {
            for (i64 i = 0; i < places; ++i)
                if (lists.groups[i] < 0) lists.row_of_a[i] = -1;
        }
        if (p.gather && !lists.rows.empty()) {
            GroupedGemmOperands::Row& last = lists.rows.back();
            lists.row_of_a[last.d] = static_cast<i32>(rows_of_a);
            last.a = 0;
        }
        return lists;
    }
    // Choices at random, some of no group; the second token has one for all, the last one none.
    for (i64 token = 0; token < p.m; ++token) {
        for (i64 j = 0; j < p.top_k; ++j) {
            const auto id = static_cast<i32>(random() % static_cast<u64>(p.groups));
            const bool none = token == p.m - 1 && token > 1;
            lists.ids.push_back(none                ? -1
                                : token == 1        ? lists.ids[0]
                                : random() % 9 == 0 ? id + 1000000
                                                    : id);
        }
    }
    for (i64 slot = 0; slot < p.m * p.top_k; ++slot) {
        const i64 token = slot / p.top_k;
        const auto first = lists.ids.begin() + token * p.top_k, here = lists.ids.begin() + slot;
        if (*here < 0 || *here >= p.groups || std::find(first, here, *here) != here) continue;
        lists.rows.push_back({slot, slot, *here, 1});
    }
    return lists;
}

GroupedGemmOperands absolute(GroupedGemmOperands x) {
    for (auto* values : {&x.a, &x.b, &x.b_gate, &x.bias, &x.gate_bias, &x.residual}) {
        for (float& value : *values) value = std::abs(value);
    }
    for (GroupedGemmOperands::Row& row : x.rows) row.weight = std::abs(row.weight);
    return x;
}

// The largest sum of absolute values that one output adds up.
double magnitude_of(const GroupedGemmOperands& operands) {
    GroupedGemmOperands x = absolute(operands);
    x.activation = Activation::none;
    x.limit = std::numeric_limits<float>::infinity(), x.alpha = 1, x.up_offset = std::abs(x.up_offset);
    const std::vector<float> sums = grouped_gemm_oracle<float>(x, 0);
    return largest({sums.begin(), sums.end()});
}

struct Answer {
    std::vector<double> oracle;
    std::vector<float> reference;
    double magnitude = 0;
};

struct GroupedGemmCheck {
    using Op = GroupedGemmOp;

    static std::vector<Problem> problems() {
        std::vector<Problem> problems;
        for (const DType dtype : {DType::bf16, DType::f16}) {
            const auto add = [&](Problem p) {
                p.dtype = dtype;
                if (p.out != DType::f32) p.out = dtype;
                problems.push_back(p);
            };
            add_rows(add);
            add_choices(add);
        }
        return problems;
    }

    static void run(Workbench& bench, const Problem& p, CheckResult& result) {
        const bool masked = p.by == RowsBy::rows && p.grouping == Grouping::masked,
                   sums = p.by == RowsBy::sums;
        const bool misaligned = p.alignment_bytes < 16;
        const i64 pad = (p.m + p.n) % 3 * 8;  // two of three problems have gaps between rows
        const i64 k_stride = misaligned ? p.k + pad / 8 : round_up(p.k, 8) + pad, n_stride = p.n + pad;
        const i64 slots = p.m * p.top_k, places = p.m * (masked ? p.groups : 1);
        // A has rows of slots where its activation is some other product's.
        const bool a_of_slots = p.by != RowsBy::rows && p.top_k > 1 && (sums || p.n % 2 == 0);
        const i64 rows_of_a = p.gather               ? p.m / 2 + 1
                              : p.by == RowsBy::rows ? places
                              : a_of_slots           ? slots
                                                     : p.m;
        const i64 rows_of_d = p.by == RowsBy::slots ? slots : places;
        GroupedGemmOperands x{.rows_of_d = rows_of_d, .n = p.n, .k = p.k, .sums = sums};
        const Lists lists = bench.answer("lists", [&] {
            std::mt19937_64 random = bench.random();
            return random_lists(random, p, rows_of_a);
        });
        x.rows = lists.rows;
        x.activation = p.activation;
        x.limit = std::numeric_limits<float>::infinity();
        if (p.gated && p.n % 3 == 0) x.limit = 1.5F, x.alpha = 1.702F, x.up_offset = 1;  // gpt-oss

        const double scale = 1 / std::sqrt(static_cast<double>(p.k));  // results of about one
        const auto matrix = [&](DType type, i64 rows, i64 columns, i64 stride, double by,
                                std::vector<float>& values) {
            const Tensor whole = bench.input(type, {rows, stride}, by, misaligned);
            values = without_gaps(bench.read(whole), rows, columns, stride);
            return whole;
        };
        GroupedGemm call{.activation = p.activation,
                         .limit = x.limit,
                         .alpha = x.alpha,
                         .up_offset = x.up_offset,
                         .b_is_constant = p.n % 2 == 0,
                         .group_rows = p.group_rows,
                         .expected_groups = p.expected_groups,
                         .expected_m = p.expected_m,
                         .ids_are_constant = p.n % 4 == 0,
                         .lists_are_constant = p.n % 4 == 0};
        call.a = view(matrix(p.dtype, rows_of_a, p.k, k_stride, 1, x.a), masked && !p.gather ? p.groups : 0,
                      p.gather ? rows_of_a
                      : masked ? p.m
                               : rows_of_a,
                      p.k, k_stride);
        // The gate's weights are other rows of the same tensor: all before, or every second.
        const i64 rows_of_b = p.n * (p.gated ? 2 : 1);
        std::vector<float> weights;
        const Tensor b = matrix(p.dtype, p.groups * rows_of_b, p.k, k_stride, scale, weights);
        call.b = view(b, p.groups, rows_of_b, p.k, k_stride);
        const bool interleaved = p.gated && p.n % 3 == 0;
        if (p.gated) {
            call.b.shape[1] = p.n;
            if (interleaved) call.b.stride[1] *= 2;
            call.b_gate = call.b;
            const i64 up = interleaved ? k_stride : p.n * k_stride;
            call.b.data = static_cast<std::byte*>(call.b.data) + up * 2;
        }
        for (i64 row = 0; row < p.groups * rows_of_b; ++row) {
            const i64 at = row % rows_of_b;
            const bool gate = p.gated && (interleaved ? at % 2 == 0 : at < p.n);
            std::vector<float>& to = gate ? x.b_gate : x.b;
            to.insert(to.end(), weights.begin() + row * p.k, weights.begin() + (row + 1) * p.k);
        }
        const Tensor d = bench.output(p.out, {rows_of_d, n_stride}, misaligned);
        call.d = view(d, masked ? p.groups : 0, masked ? p.m : rows_of_d, p.n, n_stride);
        if (p.bias) {
            call.bias = bench.input(p.dtype, {p.groups, p.n}, 1, misaligned);
            x.bias = bench.read(call.bias);
            if (p.gated) {
                call.gate_bias = bench.input(p.dtype, {p.groups, p.n}, 1, misaligned);
                x.gate_bias = bench.read(call.gate_bias);
            }
        }
        if (p.residual) {
            const Tensor residual = matrix(p.out, rows_of_d, p.n, n_stride, 1, x.residual);
            call.residual = view(residual, masked ? p.groups : 0, masked ? p.m : rows_of_d, p.n, n_stride);
        }
        if (p.by == RowsBy::rows) {
            (masked ? call.rows_of_group : call.group_of_row) = bench.integers(lists.groups);
            if (p.gather) {
                call.row_of_a = bench.integers(lists.row_of_a);
                if (masked) call.row_of_a = Tensor::dense(call.row_of_a.data, DType::i32, {p.groups, p.m});
            }
        } else {
            call.ids = Tensor::dense(bench.integers(lists.ids).data, DType::i32, {p.m, p.top_k});
            if (sums) call.weights = bench.input(DType::f32, {p.m, p.top_k}, 0.5);
            const std::vector<float> values = sums ? bench.read(call.weights) : std::vector<float>();
            for (GroupedGemmOperands::Row& row : x.rows) {
                const i64 slot = row.d;
                if (sums) row.weight = values[slot], row.d = slot / p.top_k;
                if (!a_of_slots) row.a = slot / p.top_k;
            }
        }
        const Status status = grouped_gemm(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const Answer& answer = bench.answer("grouped_gemm", [&] {
            Answer made{grouped_gemm_oracle<double>(x, kNan), grouped_gemm_oracle<float>(x, kNan),
                        magnitude_of(x)};
            for (float& value : made.reference) value = round_to(p.out, value);
            return made;
        });
        const std::vector<float> whole = bench.read(d);
        judge(result, bench,
              compare(without_gaps(whole, rows_of_d, p.n, n_stride), answer.oracle, answer.reference,
                      answer.magnitude),
              "d");
        judge_gaps(result, bench, whole, rows_of_d, p.n, n_stride);
    }

private:
    // [groups, rows, columns] or [rows, columns] of rows of `stride` elements.
    static Tensor view(const Tensor& whole, i64 groups, i64 rows, i64 columns, i64 stride) {
        Tensor tensor = groups == 0 ? Tensor::dense(whole.data, whole.dtype, {rows, stride})
                                    : Tensor::dense(whole.data, whole.dtype, {groups, rows, stride});
        tensor.shape[tensor.rank - 1] = columns;
        return tensor;
    }

    template <class Add>
    static void add_rows(const Add& add) {
        const auto silu = Activation::silu;
        add({.m = 300, .n = 72, .k = 264, .groups = 3});
        add({.m = 640, .n = 260, .k = 512, .groups = 4, .gather = true});
        add({.m = 256, .n = 40, .k = 128, .groups = 3, .bias = true, .residual = true, .activation = silu});
        add({.m = 176,
             .n = 72,
             .k = 136,
             .groups = 9,
             .group_rows = 16,
             .gather = true,
             .gated = true,
             .activation = silu});
        add({.m = 96,
             .n = 41,
             .k = 300,
             .out = DType::f32,
             .groups = 5,
             .group_rows = 32,
             .gated = true,
             .bias = true,
             .activation = Activation::gelu});
        add({.m = 320,
             .n = 136,
             .k = 256,
             .groups = 4,
             .group_rows = 64,
             .gather = true,
             .gated = true,
             .activation = silu});
        add({.m = 384, .n = 264, .k = 192, .groups = 2, .gated = true, .bias = true, .activation = silu});
        add({.m = 80,
             .n = 33,
             .k = 70,
             .groups = 3,
             .group_rows = 16,
             .gather = true,
             .gated = true,
             .activation = silu,
             .alignment_bytes = 2});
        add({.m = 20, .n = 72, .k = 128, .grouping = Grouping::masked, .groups = 4});
        add({.m = 150,
             .n = 40,
             .k = 288,
             .grouping = Grouping::masked,
             .groups = 3,
             .expected_m = 60,
             .bias = true,
             .residual = true});
        add({.m = 33,
             .n = 66,
             .k = 128,
             .grouping = Grouping::masked,
             .groups = 5,
             .gather = true,
             .gated = true,
             .activation = silu});
        add({.m = 7, .n = 33, .k = 51, .grouping = Grouping::masked, .groups = 3, .alignment_bytes = 2});
        add({.m = 1, .n = 1, .k = 1, .groups = 1, .alignment_bytes = 2});
    }

    template <class Add>
    static void add_choices(const Add& add) {
        const auto silu = Activation::silu;
        const auto slots = RowsBy::slots, sums = RowsBy::sums;
        add({.m = 1,
             .n = 48,
             .k = 264,
             .by = slots,
             .groups = 16,
             .top_k = 8,
             .gated = true,
             .activation = silu});
        add({.m = 8,
             .n = 40,
             .k = 512,
             .by = slots,
             .groups = 24,
             .top_k = 4,
             .gated = true,
             .bias = true,
             .activation = silu});
        add({.m = 5,
             .n = 33,
             .k = 136,
             .by = slots,
             .groups = 3,
             .top_k = 2,
             .bias = true,
             .residual = true});
        add({.m = 16,
             .n = 50,
             .k = 96,
             .by = slots,
             .groups = 300,
             .top_k = 6,
             .gated = true,
             .activation = Activation::gelu_tanh});
        add({.m = 2, .n = 17, .k = 8, .out = DType::f32, .by = slots, .groups = 5, .top_k = 1});
        add({.m = 1, .n = 40, .k = 768, .by = sums, .groups = 16, .top_k = 8});
        add({.m = 7,
             .n = 66,
             .k = 264,
             .by = sums,
             .groups = 12,
             .top_k = 4,
             .bias = true,
             .residual = true});
        add({.m = 13, .n = 33, .k = 72, .out = DType::f32, .by = sums, .groups = 40, .top_k = 3});
        add({.m = 3, .n = 20, .k = 520, .by = sums, .groups = 1, .top_k = 1, .residual = true});
    }
};

}  // namespace

const OperationCheck& grouped_gemm_check() {
    static const OperationCheckOf<GroupedGemmCheck> check;
    return check;
}

}  // namespace warpwright
