// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/gated_activation.h"

#include <cmath>
#include <limits>
#include <optional>

#include "check/ops/checks.h"
#include "check/ops/quantized_outputs.h"
#include "kernels/fused/gated_activation/operation.h"
#include "kernels/fused/gated_activation/oracle.h"

namespace warpwright {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct GatedActivationCheck {
    using Op = GatedActivationOp;
    static constexpr i64 kLimited[] = {2888, 341};  // widths of problems with a limit, alpha and offset

    static std::vector<GatedActivationProblem> problems() {
        std::vector<GatedActivationProblem> problems;
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (Activation activation :
                 {Activation::none, Activation::silu, Activation::gelu, Activation::gelu_tanh}) {
                for (i64 width : {8, 1032, 2880}) {
                    problems.push_back(
                        {.tokens = 5, .width = width, .dtype = dtype, .activation = activation});
                }
                problems.push_back({.tokens = 3,
                                    .width = 333,
                                    .dtype = dtype,
                                    .activation = activation,
                                    .alignment_bytes = 2});
            }
            problems.push_back({.tokens = 2, .width = 256, .dtype = dtype, .alignment_bytes = 2});
            problems.push_back({.tokens = 100, .width = 14336, .dtype = dtype});
        }
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (const QuantizedCase& item : quantized_cases()) {
                problems.push_back({.tokens = item.rows,
                                    .width = item.columns,
                                    .dtype = dtype,
                                    .activation = item.columns % 3 != 0 ? Activation::silu : Activation::gelu,
                                    .alignment_bytes = item.alignment_bytes,
                                    .quantized = item.fields});
            }
        }
        for (DType dtype : {DType::bf16, DType::f16}) {
            for (Activation activation :
                 {Activation::none, Activation::silu, Activation::gelu, Activation::gelu_tanh}) {
                problems.push_back(
                    {.tokens = 5, .width = kLimited[0], .dtype = dtype, .activation = activation});
                problems.push_back({.tokens = 3,
                                    .width = kLimited[1],
                                    .dtype = dtype,
                                    .activation = activation,
                                    .alignment_bytes = 2});
            }
        }
        return problems;
    }

    // Once with gate and up as the two halves of one tensor, once in place over the gate. The narrowest
    // problem holds gates where an exponential overflows and where the error function is flat: alone, because
    // the tolerance grows with the largest value.
    static void run(Workbench& bench, const GatedActivationProblem& problem, CheckResult& result) {
        const bool misaligned = problem.alignment_bytes < 16;
        const i64 tokens = problem.tokens, width = problem.width;
        const Tensor both = bench.input(problem.dtype, {tokens, 2 * width}, 2, misaligned);
        std::vector<float> values = bench.read(both);
        const float special[] = {0.0f, -0.0f, 100, -100, 1000, -1000, 1e-6f, -1e-6f};
        for (std::size_t i = 0; i < 8 && width == 8; ++i) values[i] = round_to(problem.dtype, special[i]);
        // Codes of groups and rows with a NaN or an infinity, in problems of which every row has its own
        // scales.
        for (i64 token = 0; token < tokens && problem.quantized.quantized && width < 600; ++token) {
            if (token % 3 == 0)
                values[static_cast<std::size_t>((2 * token + 1) * width + 21)] = std::nanf("");
            if (token % 3 == 1) values[static_cast<std::size_t>((2 * token + 1) * width + 30)] = kInfinity;
        }
        bench.write(both, values);
        std::vector<float> gate_values, up_values;
        for (i64 token = 0; token < tokens; ++token) {
            const auto start = values.begin() + token * 2 * width;
            gate_values.insert(gate_values.end(), start, start + width);
            up_values.insert(up_values.end(), start + width, start + 2 * width);
        }

        Tensor gate = both, up = both;
        gate.shape[1] = up.shape[1] = width;
        up.data = static_cast<std::byte*>(both.data) + width * dtype_bytes(problem.dtype);
        const Tensor out = bench.output(problem.dtype, {tokens, width}, misaligned);
        const Tensor in_place = bench.in_place(problem.dtype, {tokens, width}, 1, misaligned);
        bench.write(in_place, gate_values);
        std::vector<QuantizedOutputCheck> codes;
        for (int i = 0; problem.quantized.quantized && i < 3; ++i)
            codes.emplace_back(bench, problem.quantized, tokens, width, misaligned);
        std::vector<GatedActivation> calls = {
            {.gate = gate, .up = up, .out = out, .activation = problem.activation},
            {.gate = in_place, .up = up, .out = in_place, .activation = problem.activation}};
        GateArgs by{kInfinity, 1, 0};
        if (width == kLimited[0] || width == kLimited[1]) by = {1.5F, 1.702F, 1};  // gpt-oss's
        for (GatedActivation& call : calls)
            call.limit = by.limit, call.alpha = by.alpha, call.up_offset = by.up_offset;
        for (std::size_t i = 0; i < codes.size(); ++i) {
            if (i == 2)
                calls.push_back({.gate = gate, .up = up, .out = {}, .activation = problem.activation});
            calls[i].quantized = codes[i].output();
        }
        for (const GatedActivation& call : calls) {
            const Status status = gated_activation(bench.context(), bench.stream(), call);
            if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");
        }

        const std::vector<double> answer =
            gated_activation_oracle(gate_values, up_values, problem.activation, by);
        const std::vector<float> reference = rounded(answer, problem.dtype);
        judge(result, bench, compare(bench.read(out), answer, reference, largest(answer)), "out");
        judge(result, bench, compare(bench.read(in_place), answer, reference, largest(answer)), "in place");
        for (const QuantizedOutputCheck& item : codes) item.judge_codes(result, bench.read(out));
    }
};

}  // namespace

const OperationCheck& gated_activation_check() {
    static const OperationCheckOf<GatedActivationCheck> check;
    return check;
}

}  // namespace warpwright
