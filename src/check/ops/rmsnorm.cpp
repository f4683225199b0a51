// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/rmsnorm.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "check/ops/checks.h"
#include "check/ops/quantized_outputs.h"
#include "kernels/fused/rmsnorm/operation.h"
#include "kernels/fused/rmsnorm/oracle.h"

namespace warpwright {
namespace {

constexpr float kEpsilon = 1e-5f;

struct RmsNormCheck {
    using Op = RmsNormOp;

    static std::vector<RmsNormProblem> problems() {
        std::vector<RmsNormProblem> problems;
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (i64 hidden : {64, 72, 200, 1024, 2880, 4096, 7168}) {
                problems.push_back(
                    {.tokens = 5, .hidden = hidden, .dtype = dtype, .residual = hidden != 1024});
            }
            problems.push_back({.tokens = 3, .hidden = 33, .dtype = dtype, .alignment_bytes = 2});
            problems.push_back({.tokens = 3, .hidden = 256, .dtype = dtype, .alignment_bytes = 2});
            problems.push_back({.tokens = 300, .hidden = 16384, .dtype = dtype});
        }
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (i64 hidden : {8, 120, 248, 3584}) {  // one of them for each way to divide a row
                problems.push_back({.tokens = 21, .hidden = hidden, .dtype = dtype, .weight_offset = 1});
            }
            for (i64 head_dim : {64, 72, 128, 256, 264, 2056, 8200}) {
                problems.push_back({.tokens = 7,
                                    .hidden = head_dim,
                                    .dtype = dtype,
                                    .residual = false,
                                    .heads = 5,
                                    .weight_offset = head_dim == 128 ? 0.0f : 1.0f});
            }
            // In place in a slice of something wider; a last block that is nearly empty.
            problems.push_back({.tokens = 129, .hidden = 64, .dtype = dtype, .residual = false, .heads = 2});
            problems.push_back({.tokens = 8, .hidden = 128, .dtype = dtype, .residual = false, .heads = 3});
            problems.push_back({.tokens = 4,
                                .hidden = 100,
                                .dtype = dtype,
                                .residual = false,
                                .alignment_bytes = 2,
                                .heads = 3,
                                .weight_offset = -0.5f});
            problems.push_back({.tokens = 5,
                                .hidden = 1,
                                .dtype = dtype,
                                .residual = false,
                                .alignment_bytes = 2,
                                .heads = 9});
        }
        // LayerNorm.
        for (const i64 hidden : {128, 33, 1000}) {
            problems.push_back({.tokens = 21, .hidden = hidden, .residual = false, .bias = true});
            problems.back().alignment_bytes = hidden == 33 ? 2 : 16;
            problems.push_back(problems.back());
            problems.back().heads = 3;
            problems.back().weight_offset = 1;
        }
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (const QuantizedCase& item : quantized_cases()) {
                problems.push_back({.tokens = item.rows,
                                    .hidden = item.columns,
                                    .dtype = dtype,
                                    .residual = item.columns % 3 != 0,
                                    .alignment_bytes = item.alignment_bytes,
                                    .weight_offset = 1,
                                    .quantized = item.fields});
            }
        }
        return problems;
    }

    static Tensor bias_of(Workbench& bench, const RmsNormProblem& problem) {
        return problem.bias ? bench.input(problem.dtype, {problem.hidden}, 1, problem.alignment_bytes < 16)
                            : Tensor{};
    }

    // The heads of each token: a slice of [tokens, heads + 3, head_dim], as q_norm and k_norm have it. Every
    // other problem in place, the others into [heads, tokens, head_dim].
    static void run_heads(Workbench& bench, const RmsNormProblem& problem, CheckResult& result) {
        const bool misaligned = problem.alignment_bytes < 16;
        const i64 tokens = problem.tokens, heads = problem.heads, hidden = problem.hidden, all = heads + 3;
        const bool in_place = tokens % 2 == 0 || tokens > 100;
        const Tensor fused = bench.in_place(problem.dtype, {tokens, all, hidden}, 1, misaligned);
        const Tensor weight = bench.input(problem.dtype, {hidden}, 1, misaligned);
        Tensor x = fused;
        x.shape[1] = heads;
        x.data = static_cast<std::byte*>(fused.data) + 2 * hidden * dtype_bytes(problem.dtype);
        Tensor separate, out = x;
        if (!in_place) {
            separate = bench.output(problem.dtype, {heads, tokens, hidden}, misaligned);
            out = separate;
            out.shape = {tokens, heads, hidden};
            out.stride = {hidden, tokens * hidden, 1};
        }
        const std::vector<float> before = bench.read(fused);
        const Tensor bias = bias_of(bench, problem);
        const RmsNorm call{.x = x,
                           .weight = weight,
                           .out = out,
                           .epsilon = kEpsilon,
                           .weight_offset = problem.weight_offset,
                           .bias = bias};
        const Status status = rmsnorm(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const RmsNormAnswer answer =
            rmsnorm_oracle(before, {}, bench.read(weight), problem.weight_offset, kEpsilon, problem.dtype,
                           bias ? bench.read(bias) : std::vector<float>{});
        // Where each row of the fused tensor is afterwards, and what it holds.
        std::vector<double> fused_after(before.begin(), before.end()), separate_after;
        separate_after.resize(static_cast<std::size_t>(tokens * heads * hidden));
        for (i64 token = 0; token < tokens; ++token) {
            for (i64 head = 0; head < heads; ++head) {
                const i64 from = (token * all + head + 2) * hidden;
                auto& after = in_place ? fused_after : separate_after;
                const i64 to = in_place ? from : (head * tokens + token) * hidden;
                std::copy_n(answer.out.begin() + from, hidden, after.begin() + to);
            }
        }
        const auto same = [&](const Tensor& tensor, const std::vector<double>& after, const char* what) {
            judge(result, bench,
                  compare(bench.read(tensor), after, rounded(after, problem.dtype), largest(after)), what);
        };
        same(fused, fused_after, in_place ? "x in place" : "x");
        if (!in_place) same(separate, separate_after, "out");
    }

    static void run(Workbench& bench, const RmsNormProblem& problem, CheckResult& result) {
        if (problem.heads > 1) return run_heads(bench, problem, result);
        const bool misaligned = problem.alignment_bytes < 16;
        const Tensor x = bench.input(problem.dtype, {problem.tokens, problem.hidden}, 1, misaligned);
        const Tensor weight = bench.input(problem.dtype, {problem.hidden}, 1, misaligned);
        const Tensor out = bench.output(problem.dtype, {problem.tokens, problem.hidden}, misaligned);
        Tensor residual;
        std::vector<float> residual_before;
        if (problem.residual) {
            residual = bench.in_place(problem.dtype, {problem.tokens, problem.hidden}, 3, misaligned);
            residual_before = bench.read(residual);
        }
        RmsNorm call{.x = x,
                     .weight = weight,
                     .out = out,
                     .residual = residual,
                     .epsilon = kEpsilon,
                     .weight_offset = problem.weight_offset,
                     .bias = bias_of(bench, problem)};
        std::optional<QuantizedOutputCheck> codes;
        if (problem.quantized.quantized) {
            codes.emplace(bench, problem.quantized, problem.tokens, problem.hidden, misaligned);
            call.quantized = codes->output();
        }
        const Status status = rmsnorm(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const RmsNormAnswer answer =
            rmsnorm_oracle(bench.read(x), residual_before, bench.read(weight), problem.weight_offset,
                           kEpsilon, problem.dtype, call.bias ? bench.read(call.bias) : std::vector<float>{});
        judge(result, bench,
              compare(bench.read(out), answer.out, rounded(answer.out, problem.dtype), largest(answer.out)),
              "out");
        if (problem.residual) {
            judge(result, bench,
                  compare(bench.read(residual), answer.residual, rounded(answer.residual, problem.dtype), 0),
                  "residual");
        }
        if (!codes) return;
        const std::vector<float> normalised = bench.read(out);
        codes->judge_codes(result, normalised);
        if (problem.quantized.keeps_out) return;
        // Codes alone are the same.
        if (problem.residual) bench.write(residual, residual_before);
        const QuantizedOutputCheck alone(bench, problem.quantized, problem.tokens, problem.hidden,
                                         misaligned);
        call.out = {};
        call.quantized = alone.output();
        const Status second = rmsnorm(bench.context(), bench.stream(), call);
        if (!second.ok()) return judge(result, bench, {false, 0, 0, second.message()}, "launch");
        alone.judge_codes(result, normalised);
    }
};

}  // namespace

const OperationCheck& rmsnorm_check() {
    static const OperationCheckOf<RmsNormCheck> check;
    return check;
}

}  // namespace warpwright
