// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/rope.h"

#include <algorithm>

#include "check/ops/checks.h"
#include "kernels/fused/rope/operation.h"
#include "kernels/fused/rope/oracle.h"

namespace warpwright {
namespace {

struct RopeCheck {
    using Op = RopeOp;

    static std::vector<RopeProblem> problems() {
        std::vector<RopeProblem> problems;
        for (bool appends : {false, true}) {
            for (DType dtype : {DType::bf16, DType::f16}) {
                for (bool interleaved : {false, true}) {
                    for (RopeProblem problem : appends ? appending() : in_place()) {
                        problem.dtype = dtype;
                        problem.interleaved = interleaved;
                        problems.push_back(problem);
                    }
                }
            }
        }
        return problems;
    }
    static std::vector<RopeProblem> in_place() {
        return {
            {.tokens = 7},
            {.tokens = 5, .heads = 4, .kv_heads = 4, .head_dim = 64, .rotary_dim = 64},
            {.tokens = 5, .heads = 6, .kv_heads = 2, .head_dim = 80, .rotary_dim = 32},
            {.tokens = 5, .heads = 2, .kv_heads = 1, .head_dim = 512, .rotary_dim = 512},
            {.tokens = 3, .heads = 3, .kv_heads = 1, .head_dim = 96, .rotary_dim = 24},
            {.tokens = 3, .heads = 3, .kv_heads = 1, .head_dim = 33, .rotary_dim = 26, .alignment_bytes = 2},
            {.tokens = 3, .heads = 5, .kv_heads = 1, .alignment_bytes = 2},
            {.tokens = 300, .heads = 32, .kv_heads = 8},
        };
    }
    static std::vector<RopeProblem> appending() {
        return {{.tokens = 7, .page_size = 16},
                {.tokens = 5, .heads = 6, .kv_heads = 2, .head_dim = 80, .rotary_dim = 32, .page_size = 2},
                {.tokens = 4, .heads = 3, .kv_heads = 2, .head_dim = 72, .rotary_dim = 24, .page_size = 1},
                {.tokens = 4,
                 .heads = 3,
                 .kv_heads = 2,
                 .head_dim = 33,
                 .rotary_dim = 26,
                 .page_size = 4,
                 .alignment_bytes = 2}};
    }

    // Positions up to a million: the reduction of large angles is part of what is checked. The magnitude is
    // not 1, as with yarn.
    static void run(Workbench& bench, const RopeProblem& problem, CheckResult& result) {
        const bool misaligned = problem.alignment_bytes < 16;
        const RopeFrequencies frequencies =
            rope_frequencies(10000, static_cast<int>(problem.rotary_dim), RopeScaling{});
        const i64 pairs = problem.rotary_dim / 2;
        const Tensor frequency = bench.input(DType::f32, {pairs});
        bench.write(frequency, frequencies.frequency);
        std::vector<i32> positions(static_cast<std::size_t>(problem.tokens));
        for (std::size_t i = 0; i < positions.size(); ++i) {
            const i32 limit = i % 2 == 0 ? 8192 : 1 << 20;
            positions[i] = static_cast<i32>(bench.random()() % static_cast<u64>(limit));
        }
        positions[0] = 0;
        Pages pages;
        if (problem.page_size > 0) pages = Pages(bench, problem, positions, misaligned);
        const Tensor q =
            bench.in_place(problem.dtype, {problem.tokens, problem.heads, problem.head_dim}, 1, misaligned);
        const Tensor k = bench.in_place(problem.dtype, {problem.tokens, problem.kv_heads, problem.head_dim},
                                        1, misaligned);
        const std::vector<float> q_before = bench.read(q), k_before = bench.read(k);
        const float magnitude = 1.25f;
        Rope call{.q = q,
                  .k = k,
                  .positions = bench.integers(positions),
                  .frequency = frequency,
                  .magnitude = magnitude,
                  .interleaved = problem.interleaved};
        pages.add_to(call);
        const Status status = rope(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const auto turned = [&](const std::vector<float>& before, i64 heads) {
            return rope_oracle(before, positions, frequencies.frequency, heads, problem.head_dim, magnitude,
                               problem.interleaved);
        };
        const auto verify = [&](const Tensor& after, const std::vector<double>& answer,
                                const std::vector<float>& before, const char* what) {
            float peak = 0;
            for (float value : before) peak = std::max(peak, std::abs(value));
            // Two products cancel: each is at most peak x magnitude.
            judge(result, bench,
                  compare(bench.read(after), answer, rounded(answer, problem.dtype), 2 * peak * magnitude),
                  what);
        };
        const auto unchanged = [](const std::vector<float>& values) {
            return std::vector<double>(values.begin(), values.end());
        };
        verify(q, turned(q_before, problem.heads), q_before, "q");
        if (problem.page_size == 0) return verify(k, turned(k_before, problem.kv_heads), k_before, "k");
        verify(k, unchanged(k_before), {}, "k");
        verify(pages.k, appended_oracle(turned(k_before, problem.kv_heads), pages.k_before, pages.slots),
               k_before, "k_pages");
        verify(pages.v, appended_oracle(unchanged(bench.read(pages.values)), pages.v_before, pages.slots), {},
               "v_pages");
    }

    // Two sequences that take turns, with their pages in no order; one token in three is padding.
    struct Pages {
        Tensor values, sequences, table, k, v;
        std::vector<float> k_before, v_before;
        std::vector<i64> slots;

        Pages() = default;
        Pages(Workbench& bench, const RopeProblem& problem, std::vector<i32>& positions, bool misaligned) {
            const i64 tokens = problem.tokens, page_size = problem.page_size;
            const i64 max_pages = ceil_div(tokens + 3, page_size), num_pages = 2 * max_pages + 1;
            std::vector<i32> owners, entries;
            for (i64 i = 0; i < 2 * max_pages; ++i) entries.push_back(static_cast<i32>(num_pages - 1 - i));
            std::swap(entries.front(), entries.back());
            for (i64 token = 0; token < tokens; ++token) {
                const i64 owner = token % 2, position = token % 3 == 2 ? -1 - token : token / 2 + 3;
                owners.push_back(static_cast<i32>(owner));
                positions[static_cast<std::size_t>(token)] = static_cast<i32>(position);
                const i64 page = entries[static_cast<std::size_t>(owner * max_pages +
                                                                  std::max<i64>(position, 0) / page_size)];
                slots.push_back(position < 0 ? -1 : page * page_size + position % page_size);
            }
            values = bench.input(problem.dtype, {tokens, problem.kv_heads, problem.head_dim}, 1, misaligned);
            sequences = bench.integers(owners);
            table = Tensor::dense(bench.integers(entries).data, DType::i32, {2, max_pages});
            const auto cache = [&] {
                return bench.in_place(
                    problem.dtype, {num_pages, page_size, problem.kv_heads, problem.head_dim}, 1, misaligned);
            };
            k = cache();
            v = cache();
            k_before = bench.read(k);
            v_before = bench.read(v);
        }
        void add_to(Rope& call) const {
            call.v = values;
            call.sequences = sequences;
            call.page_table = table;
            call.k_pages = k;
            call.v_pages = v;
        }
    };
};

}  // namespace

const OperationCheck& rope_check() {
    static const OperationCheckOf<RopeCheck> check;
    return check;
}

}  // namespace warpwright
