// SPDX-License-Identifier: Apache-2.0
#include "check/ops/checks.h"
#include "dispatch/prepare.h"
#include "kernels/moe/count/operation.h"
#include "kernels/moe/count/oracle.h"

namespace warpwright {
namespace {

struct MoeCountCheck {
    using Op = MoeCountOp;

    static std::vector<MoeCountProblem> problems() {
        return {{.slots = 1, .experts = 8},
                {.slots = 1024, .experts = 1},
                {.slots = 3000, .experts = 256},
                {.slots = 2500, .experts = 7, .mapped = true},
                {.slots = 1100, .experts = 1024}};
    }

    static void run(Workbench& bench, const MoeCountProblem& problem, CheckResult& result) {
        const i64 experts = problem.experts, chunks = ceil_div(problem.slots, kChunkSlots);
        std::vector<i32> map, ids, experts_of_slots;
        for (i64 id = 0; problem.mapped && id < experts; ++id) {
            map.push_back(id % 3 == 0 ? -1 : static_cast<i32>(experts - 1 - id));
        }
        for (i64 slot = 0; slot < problem.slots; ++slot) {
            // One warp's slots alike, the others' of all experts and of none.
            const bool alike = slot / 32 % 5 == 2;
            const auto id = static_cast<i32>(bench.random()() % static_cast<u64>(experts + 2)) - 1;
            ids.push_back(alike ? static_cast<i32>(experts / 2) : id);
            i32 expert = ids.back() >= 0 && ids.back() < experts ? ids.back() : -1;
            if (problem.mapped && expert >= 0) expert = map[static_cast<std::size_t>(expert)];
            experts_of_slots.push_back(expert);
        }
        const MoeCounts answer = counts_oracle(experts_of_slots, experts, kChunkSlots);
        const Tensor number = bench.output(DType::i32, {problem.slots});
        const Tensor counts = bench.output(DType::i32, {chunks, experts});
        const MoeCountArgs args{
            .ids = static_cast<const i32*>(bench.integers(ids).data),
            .expert_map = problem.mapped ? static_cast<const i32*>(bench.integers(map).data) : nullptr,
            .row_of_slot = static_cast<i32*>(number.data),
            .chunk_counts = static_cast<i32*>(counts.data),
            .slots = static_cast<i32>(problem.slots),
            .experts = static_cast<i32>(experts),
            .map_size = static_cast<i32>(map.size())};
        Prepared prepared;
        Status status = prepare_step<MoeCountOp>(bench.context(), problem, args, prepared);
        if (status.ok()) status = prepared.launch(bench.context().device(), bench.stream());
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");
        const bool same = bench.read_integers(number) == answer.number;
        judge(result, bench, {same, 0, 0, same ? "" : "other numbers"}, "numbers");
        const bool counted = bench.read_integers(counts) == answer.chunk_counts;
        judge(result, bench, {counted, 0, 0, counted ? "" : "other counts"}, "counts");
    }
};

}  // namespace

const OperationCheck& moe_count_check() {
    static const OperationCheckOf<MoeCountCheck> check;
    return check;
}

}  // namespace warpwright
