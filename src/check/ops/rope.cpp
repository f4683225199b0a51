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
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (bool interleaved : {false, true}) {
                const auto add = [&](RopeProblem problem) {
                    problem.dtype = dtype;
                    problem.interleaved = interleaved;
                    problems.push_back(problem);
                };
                add({.tokens = 7});
                add({.tokens = 5, .heads = 4, .kv_heads = 4, .head_dim = 64, .rotary_dim = 64});
                add({.tokens = 5, .heads = 6, .kv_heads = 2, .head_dim = 80, .rotary_dim = 32});
                add({.tokens = 5, .heads = 2, .kv_heads = 1, .head_dim = 512, .rotary_dim = 512});
                add({.tokens = 3, .heads = 3, .kv_heads = 1, .head_dim = 96, .rotary_dim = 24});
                add({.tokens = 3,
                     .heads = 3,
                     .kv_heads = 1,
                     .head_dim = 33,
                     .rotary_dim = 26,
                     .alignment_bytes = 2});
                add({.tokens = 3, .heads = 5, .kv_heads = 1, .alignment_bytes = 2});
                add({.tokens = 300, .heads = 32, .kv_heads = 8});
            }
        }
        return problems;
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
        const Tensor q =
            bench.in_place(problem.dtype, {problem.tokens, problem.heads, problem.head_dim}, 1, misaligned);
        const Tensor k = bench.in_place(problem.dtype, {problem.tokens, problem.kv_heads, problem.head_dim},
                                        1, misaligned);
        const std::vector<float> q_before = bench.read(q), k_before = bench.read(k);
        const float magnitude = 1.25f;
        const Rope call{.q = q,
                        .k = k,
                        .positions = bench.integers(positions),
                        .frequency = frequency,
                        .magnitude = magnitude,
                        .interleaved = problem.interleaved};
        const Status status = rope(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const auto verify = [&](const Tensor& turned, const std::vector<float>& before, i64 heads,
                                const char* what) {
            const std::vector<double> answer = rope_oracle(before, positions, frequencies.frequency, heads,
                                                           problem.head_dim, magnitude, problem.interleaved);
            float peak = 0;
            for (float value : before) peak = std::max(peak, std::abs(value));
            // Two products cancel: each is at most peak x magnitude.
            judge(result, bench,
                  compare(bench.read(turned), answer, rounded(answer, problem.dtype), 2 * peak * magnitude),
                  what);
        };
        verify(q, q_before, problem.heads, "q");
        verify(k, k_before, problem.kv_heads, "k");
    }
};

}  // namespace

const OperationCheck& rope_check() {
    static const OperationCheckOf<RopeCheck> check;
    return check;
}

}  // namespace warpwright
