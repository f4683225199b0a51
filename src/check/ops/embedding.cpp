// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/embedding.h"

#include "check/ops/checks.h"
#include "kernels/fused/embedding/operation.h"
#include "kernels/fused/embedding/oracle.h"

namespace warpwright {
namespace {

struct EmbeddingCheck {
    using Op = EmbeddingOp;

    static std::vector<EmbeddingProblem> problems() {
        std::vector<EmbeddingProblem> problems;
        for (DType dtype : {DType::bf16, DType::f16, DType::f32}) {
            for (i64 width : {8, 72, 1024, 2880}) {
                problems.push_back({.tokens = 17, .width = width, .dtype = dtype});
            }
            problems.push_back({.tokens = 3, .width = 33, .dtype = dtype, .alignment_bytes = 2});
            problems.push_back({.tokens = 3, .width = 256, .dtype = dtype, .alignment_bytes = 2});
            problems.push_back({.tokens = 300, .width = 4096, .dtype = dtype});
        }
        for (DType dtype : {DType::bf16, DType::f16, DType::f32}) {
            for (float scale : {45.25f, -0.3f, 0.0f}) {  // the first is Gemma's, of 2048 columns
                problems.push_back({.tokens = 19, .width = 72, .dtype = dtype, .scale = scale});
                problems.push_back(
                    {.tokens = 7, .width = 33, .dtype = dtype, .alignment_bytes = 2, .scale = scale});
            }
        }
        return problems;
    }

    static void run(Workbench& bench, const EmbeddingProblem& problem, CheckResult& result) {
        const i32 num_rows = 101;
        const bool misaligned = problem.alignment_bytes < 16;
        std::vector<i32> ids(static_cast<std::size_t>(problem.tokens));
        for (i32& id : ids) id = static_cast<i32>(bench.random()() % num_rows);
        // The table's ends, and ids on both sides of it.
        const i32 special[] = {num_rows - 1, num_rows, -1, 0, 2147483647, -2147483647 - 1};
        for (std::size_t i = 0; i < ids.size() && i < std::size(special); ++i) ids[i] = special[i];
        const Tensor table = bench.input(problem.dtype, {num_rows, problem.width}, 1, misaligned);
        const Tensor out = bench.output(problem.dtype, {problem.tokens, problem.width}, misaligned);
        const Embedding call{.ids = bench.integers(ids), .table = table, .out = out, .scale = problem.scale};
        const Status status = embedding(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const std::vector<double> answer =
            embedding_oracle(ids, bench.read(table), problem.width, problem.scale);
        judge(result, bench, compare(bench.read(out), answer, rounded(answer, problem.dtype), 0), "out");
    }
};

}  // namespace

const OperationCheck& embedding_check() {
    static const OperationCheckOf<EmbeddingCheck> check;
    return check;
}

}  // namespace warpwright
