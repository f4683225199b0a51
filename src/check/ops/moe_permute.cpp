// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/moe_permute.h"

#include "check/ops/checks.h"
#include "kernels/moe/permute/operation.h"
#include "kernels/moe/permute/oracle.h"

namespace warpwright {
namespace {

// The ids of a slot: experts that exist or not; where nothing is mapped, in the last tokens always the same
// one.
i32 draw_id(const MoePermuteProblem& problem, i64 slot, std::mt19937_64& random) {
    const i64 range = problem.mapped ? 2 * problem.experts : problem.experts;
    if (problem.tokens > 4 && slot >= problem.tokens * problem.top_k * 3 / 4) {
        return static_cast<i32>(problem.experts - 1);
    }
    switch (random() % 16) {
        case 0: return -1;
        case 1: return static_cast<i32>(range);
        default: return static_cast<i32>(random() % static_cast<u64>(range));
    }
}

struct MoePermuteCheck {
    using Op = MoePermuteOp;

    static std::vector<MoePermuteProblem> problems() {
        std::vector<MoePermuteProblem> problems;
        const auto contiguous = [&](i64 tokens, i64 top_k, i64 experts, i64 alignment, bool mapped,
                                    bool space = false) {
            const i64 rows = moe_rows(tokens * top_k, experts, alignment) + (tokens % 2 == 0 ? 128 : 77);
            problems.push_back({tokens, top_k, experts, rows, false, alignment, mapped, space});
        };
        contiguous(1, 8, 128, 128, false);
        contiguous(7, 2, 8, 16, false);
        contiguous(33, 8, 256, 128, true);
        contiguous(600, 6, 60, 64, false);
        contiguous(2500, 4, 5, 1, true);
        contiguous(3, 1, 1, 128, false);
        contiguous(0, 8, 16, 128, false);
        contiguous(7, 2, 8, 16, false, true);
        contiguous(433, 8, 256, 128, true, true);
        contiguous(2500, 4, 5, 1, false, true);
        problems.push_back({1, 8, 128, 128, true, 1, false});
        problems.push_back({40, 8, 32, 32 * 24, true, 1, true});  // more slots than an expert has rows
        problems.push_back({600, 4, 8, 8 * 600, true, 1, false});
        problems.push_back({600, 4, 8, 8 * 60, true, 1, false, true});
        return problems;
    }

    static void run(Workbench& bench, const MoePermuteProblem& problem, CheckResult& result) {
        const i64 tokens = problem.tokens, top_k = problem.top_k, experts = problem.experts;
        std::vector<i32> ids, map, experts_of_slots;
        if (problem.mapped) {
            for (i64 id = 0; id < 2 * experts; ++id) {
                map.push_back(id % 2 == 0   ? static_cast<i32>((id / 2 + 3) % experts)
                              : id % 3 == 0 ? -1
                                            : 1 << 20);
            }
        }
        for (i64 slot = 0; slot < tokens * top_k; ++slot) {
            const i32 id = draw_id(problem, slot, bench.random());
            ids.push_back(id);
            i32 expert = id;
            if (problem.mapped) expert = id >= 0 && id < 2 * experts ? map[static_cast<std::size_t>(id)] : -1;
            experts_of_slots.push_back(expert >= 0 && expert < experts ? expert : -1);
        }
        const MoePermutation answer =
            permutation_oracle(experts_of_slots, top_k, experts, problem.rows, problem.alignment,
                               problem.masked ? problem.rows / experts : 0);
        Tensor id_tensor = bench.integers(ids);
        id_tensor.rank = 2;
        id_tensor.shape = {tokens, top_k};
        id_tensor.stride = {top_k, 1};
        MoePermute call{.ids = id_tensor,
                        .row_of_slot = bench.output(DType::i32, {tokens, top_k}),
                        .token_of_row = bench.output(DType::i32, {problem.rows}),
                        .expert_rows = bench.output(DType::i32, {experts}),
                        .alignment = problem.alignment};
        if (problem.space) {
            call.chunk_counts = bench.output(DType::i32, {ceil_div(tokens * top_k, kChunkSlots), experts});
        }
        if (problem.mapped) call.expert_map = bench.integers(map);
        if (!problem.masked) call.expert_of_row = bench.output(DType::i32, {problem.rows});
        const Status status = moe_permute(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const auto equal = [&](const Tensor& tensor, const std::vector<i32>& expected, const char* what) {
            const std::vector<i32> got = bench.read_integers(tensor);
            judge(result, bench, {got == expected, 0, 0, got == expected ? "" : "is another permutation"},
                  what);
        };
        equal(call.expert_rows, answer.expert_rows, "expert_rows");
        equal(call.row_of_slot, answer.row_of_slot, "row_of_slot");
        equal(call.token_of_row, answer.token_of_row, "token_of_row");
        if (!problem.masked) equal(call.expert_of_row, answer.expert_of_row, "expert_of_row");
    }
};

}  // namespace

const OperationCheck& moe_permute_check() {
    static const OperationCheckOf<MoePermuteCheck> check;
    return check;
}

}  // namespace warpwright
