// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/index_topk.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "check/ops/checks.h"
#include "check/ops/key_sequences.h"
#include "kernels/attention/index_topk/operation.h"
#include "kernels/attention/index_topk/oracle.h"

namespace warpwright {
namespace {

constexpr i64 kSpareColumns = 5;  // of logits, between their rows
constexpr i32 kUntouched = 12345;

struct Batch {
    std::vector<i32> q_starts, kv_lengths, page_table;
    i64 page_size = 1, max_pages = 0;
};

// The rows that take different ways through a kernel: any numbers; few values, many ties; nearly equal ones,
// which the last bits decide; all the same; infinities, NaN and both zeros.
float shaped(float value, i64 shape, std::mt19937_64& random) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const float special[] = {kInfinity, -kInfinity, std::nanf(""), -std::nanf(""), 0.f, -0.f, value};
    switch (shape) {
        case 1: return std::round(2 * value) / 2;
        case 2: return 1 + value * 0x1p-20f;
        case 3: return -3;
        case 4: return special[random() % std::size(special)];
        default: return value;
    }
}

struct IndexTopkCheck {
    using Op = IndexTopkOp;

    static std::vector<IndexTopkProblem> problems() {
        // sequences, max_q_len, max_kv_len, q_tokens, k, causal, page_size
        return {
            {7, 1, 5000, 0, 2048, true, 64},  // decode
            {1, 12, 3000, 0, 2048, true, 0},  // prefill, of which all see more than k keys
            {6, 40, 90, 0, 64, true, 16},     // some see fewer
            {9, 5, 1200, 0, 1, true, 1},     {5, 5, 700, 0, 100, false, 0},  // no mask
            {3, 2, 50, 0, 300, true, 0},                                     // all see fewer
            {1, 3, 20000, 0, 2048, true, 0},
        };
    }

    static void run(Workbench& bench, const IndexTopkProblem& problem, CheckResult& result) {
        Batch in;
        choose_lengths(problem, bench.random(), in);
        IndexTopkProblem paged = problem;
        paged.page_size = std::max<i64>(1, problem.page_size);
        choose_pages(paged, bench.random(), in, [](i64) { return i64{0}; });
        const i64 rows = in.q_starts.back() + 1, columns = problem.max_kv_len + kSpareColumns;
        const Tensor logits = bench.input(DType::f32, {rows, columns});
        std::vector<float> values = bench.read(logits);
        for (std::size_t i = 0; i < values.size(); ++i) {
            const i64 shape = static_cast<i64>(i) / columns * 3 % 5;
            values[i] = shaped(values[i], shape, bench.random());
        }
        bench.write(logits, values);
        const auto untouched = [&](i64 count) {
            return bench.integers(std::vector<i32>(static_cast<std::size_t>(count), kUntouched));
        };
        const Tensor indices = Tensor::dense(untouched(rows * problem.k).data, DType::i32, {rows, problem.k});
        const Tensor lengths = untouched(rows);
        IndexTopk call{.logits = logits,
                       .indices = indices,
                       .index_lengths = lengths,
                       .kv_lengths = bench.integers(in.kv_lengths),
                       .q_starts = bench.integers(in.q_starts),
                       .page_size = problem.page_size,
                       .max_q_len = problem.max_q_len,
                       .max_kv_len = problem.max_kv_len,
                       .causal = problem.causal};
        if (problem.page_size > 0) {
            call.page_table = bench.integers(in.page_table);
            call.page_table =
                Tensor::dense(call.page_table.data, DType::i32, {problem.sequences, in.max_pages});
        }
        const Status status = index_topk(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        std::vector<i32> expected(static_cast<std::size_t>(rows * problem.k), kUntouched),
            expected_lengths(static_cast<std::size_t>(rows), kUntouched);
        for (i64 s = 0; s < problem.sequences; ++s) {
            const i64 end = in.q_starts[static_cast<std::size_t>(s + 1)];
            for (i64 row = in.q_starts[static_cast<std::size_t>(s)]; row < end; ++row) {
                const i64 visible = std::max<i64>(
                    0, in.kv_lengths[static_cast<std::size_t>(s)] - (problem.causal ? end - row - 1 : 0));
                const auto first = values.begin() + row * columns;
                const std::vector<i32> best = index_topk_oracle({first, first + visible}, problem.k);
                expected_lengths[static_cast<std::size_t>(row)] = static_cast<i32>(best.size());
                for (i64 i = 0; i < problem.k; ++i) {
                    i32& index = expected[static_cast<std::size_t>(row * problem.k + i)];
                    index = -1;
                    if (i >= static_cast<i64>(best.size())) continue;
                    const i64 key = best[static_cast<std::size_t>(i)];
                    const i64 page =
                        in.page_table[static_cast<std::size_t>(s * in.max_pages + key / paged.page_size)];
                    index = static_cast<i32>(
                        problem.page_size > 0 ? page * problem.page_size + key % problem.page_size : key);
                }
            }
        }
        const std::vector<i32> got = bench.read_integers(indices);
        std::string text;
        for (std::size_t i = 0; i < got.size() && text.empty(); ++i) {
            if (got[i] != expected[i])
                text = fmt::format("row {} entry {}: {}, expected {}", static_cast<i64>(i) / problem.k,
                                   static_cast<i64>(i) % problem.k, got[i], expected[i]);
        }
        judge(result, bench, {text.empty(), 0, 0, text}, "indices");
        const bool right = bench.read_integers(lengths) == expected_lengths;
        judge(result, bench, {right, 0, 0, right ? "" : "not how many of the list are keys"},
              "index_lengths");
    }
};

}  // namespace

const OperationCheck& index_topk_check() {
    static const OperationCheckOf<IndexTopkCheck> check;
    return check;
}

}  // namespace warpwright
