// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/sample.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "check/ops/checks.h"
#include "kernels/fused/sample/operation.h"
#include "kernels/fused/sample/oracle.h"
#include "kernels/fused/sample/philox.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

constexpr SampleSettings kSettings[] = {
    {.temperature = 0},
    {.temperature = 1},
    {.temperature = 0.7, .top_k = 50},
    {.temperature = 1, .top_k = 1},
    {.temperature = 1.3, .top_k = 3000},
    {.temperature = 1, .top_p = 0.9},
    {.temperature = 1, .top_p = 0.999},
    {.temperature = 0.9, .top_k = 50, .top_p = 0.8},
    {.temperature = 1, .min_p = 0.05},
    {.temperature = 1.1, .top_k = 40, .top_p = 0.95, .min_p = 0.02},
    {.temperature = 1, .top_p = 0},
    {.temperature = 0.001, .top_p = 0.5},
    {.temperature = 100, .top_k = 2000, .top_p = 0.5},
    {.temperature = 1, .top_k = 1 << 30, .top_p = 2, .min_p = -1},
    {.temperature = 1, .top_k = 900, .top_p = 0.6},
    {.temperature = -1},
};
constexpr i64 kNumSettings = std::size(kSettings);
constexpr i64 kNumShapes = 4;

// why: a weight's exponent is rounded three times, each worth 2^-24 of at most 44 octaves; the exponential
// itself is within 2^-23. A running sum is a quotient of two such sums.
constexpr double kTolerance = 2 * (3 * 44 * 0x1p-24 * 0.6931471805599453 + 0x1p-23);

// The shapes that take different ways through a kernel: peaked, flat, full of ties, and with special values.
void shape_logits(std::vector<float>& logits, i64 begin, i64 end, i64 shape, DType dtype) {
    for (i64 i = begin; i < end; ++i) {
        float& logit = logits[static_cast<std::size_t>(i)];
        logit = shape == 0   ? 3 * logit
                : shape == 1 ? 0.02f * logit
                : shape == 2 ? std::round(2 * logit) / 2
                             : logit;
        logit = round_to(dtype, logit);
    }
    if (shape != 3 || end - begin < 8) return;
    const float infinity = std::numeric_limits<float>::infinity();
    for (i64 i = begin; i < end; i += 3) logits[static_cast<std::size_t>(i)] = -infinity;
    logits[static_cast<std::size_t>(begin + 1)] = std::nanf("");
    logits[static_cast<std::size_t>(end - 1)] = -std::nanf("");
    if (begin % 2 == 1) {
        logits[static_cast<std::size_t>(begin + 4)] = infinity;
        logits[static_cast<std::size_t>(begin + 7)] = infinity;
    }
}

i32 greedy_token(const std::vector<float>& logits) {
    i32 best = -1;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        if (std::isnan(logits[i])) continue;
        if (best < 0 || logits[i] > logits[static_cast<std::size_t>(best)]) best = static_cast<i32>(i);
    }
    return best < 0 ? 0 : best;
}

// Empty when `token` is what the oracle draws at `uniform`, or its neighbour where `uniform` lies within the
// tolerance of the boundary between the two.
std::string disagreement(const std::vector<double>& probability, double uniform, i32 token) {
    if (token < 0 || static_cast<std::size_t>(token) >= probability.size()) {
        return fmt::format("token {} is not in the vocabulary", token);
    }
    if (probability[static_cast<std::size_t>(token)] == 0) {
        return fmt::format("token {} was filtered out", token);
    }
    double before = 0;
    for (i32 i = 0; i < token; ++i) before += probability[static_cast<std::size_t>(i)];
    const double after = before + probability[static_cast<std::size_t>(token)];
    if (uniform >= before - kTolerance && uniform <= after + kTolerance) return {};
    return fmt::format("token {} stands for [{:.9f}, {:.9f}], the draw was {:.9f}", token, before, after,
                       uniform);
}

struct SampleCheck {
    using Op = SampleOp;

    static std::vector<SampleProblem> problems() {
        std::vector<SampleProblem> problems;
        for (DType dtype : {DType::f32, DType::bf16, DType::f16}) {
            for (i64 vocabulary : {8, 1000, 32000}) {
                problems.push_back(
                    {.rows = kNumSettings * kNumShapes, .vocabulary = vocabulary, .dtype = dtype});
            }
            problems.push_back({.rows = kNumSettings * kNumShapes,
                                .vocabulary = 5003,
                                .dtype = dtype,
                                .alignment_bytes = 2});
            problems.push_back({.rows = 3, .vocabulary = 1, .dtype = dtype, .alignment_bytes = 2});
            problems.push_back({.rows = kNumSettings, .vocabulary = 128256, .dtype = dtype});
        }
        problems.push_back({.rows = kNumSettings, .vocabulary = 262144});
        return problems;
    }

    static void run(Workbench& bench, const SampleProblem& problem, CheckResult& result) {
        const i64 rows = problem.rows, vocabulary = problem.vocabulary;
        const Tensor logits = bench.input(problem.dtype, {rows, vocabulary}, 1, problem.alignment_bytes < 16);
        std::vector<float> values = bench.read(logits);
        std::vector<SampleSettings> settings;
        std::vector<float> temperature, top_p, min_p;
        std::vector<i32> top_k, seeds, steps;
        for (i64 row = 0; row < rows; ++row) {
            const SampleSettings& chosen = kSettings[row % kNumSettings];
            const i64 shape = rows > kNumSettings ? row / kNumSettings : row % 2;
            shape_logits(values, row * vocabulary, (row + 1) * vocabulary, shape, problem.dtype);
            settings.push_back(chosen);
            temperature.push_back(static_cast<float>(chosen.temperature));
            top_k.push_back(chosen.top_k);
            top_p.push_back(static_cast<float>(chosen.top_p));
            min_p.push_back(static_cast<float>(chosen.min_p));
            seeds.push_back(static_cast<i32>(bench.random()()));
            seeds.push_back(static_cast<i32>(bench.random()()));
            steps.push_back(static_cast<i32>(bench.random()() % 1000));
        }
        bench.write(logits, values);
        const auto floats = [&](const std::vector<float>& list) {
            const Tensor tensor = bench.input(DType::f32, {rows});
            bench.write(tensor, list);
            return tensor;
        };
        const Tensor tokens = bench.output(DType::i32, {rows});
        const Tensor seed_list = bench.integers(seeds);
        const Sample call{.logits = logits,
                          .temperature = floats(temperature),
                          .top_k = bench.integers(top_k),
                          .top_p = floats(top_p),
                          .min_p = floats(min_p),
                          .seeds = Tensor::dense(seed_list.data, DType::i32, {rows, 2}),
                          .steps = bench.integers(steps),
                          .tokens = tokens};
        const Status status = sample(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const std::vector<i32> drawn = bench.read_integers(tokens);
        for (std::size_t row = 0; row < settings.size(); ++row) {
            const auto start = values.begin() + static_cast<i64>(row) * vocabulary;
            const std::vector<float> row_logits(start, start + vocabulary);
            const u64 bits = step_bits(static_cast<u32>(seeds[2 * row]), static_cast<u32>(seeds[2 * row + 1]),
                                       static_cast<u32>(steps[row]));
            SampleSettings exact = settings[row];  // as stored
            exact.temperature = temperature[row];
            exact.top_p = top_p[row];
            exact.min_p = min_p[row];
            const std::string text =
                verdict(row_logits, exact, static_cast<double>(bits) * 0x1p-64, drawn[row]);
            judge(result, bench, {text.empty(), 0, kTolerance, text}, fmt::format("row {}", row).c_str());
        }
    }

    // A filter's own boundary may be rounded too: the sets just inside and just outside it count as well.
    static std::string verdict(const std::vector<float>& logits, const SampleSettings& settings,
                               double uniform, i32 token) {
        const i32 greedy = greedy_token(logits);
        if (!(settings.temperature > 0) || std::isnan(logits[static_cast<std::size_t>(greedy)])) {
            return token == greedy ? "" : fmt::format("token {}, expected {}", token, greedy);
        }
        std::string text;
        for (double shift : {0.0, -1.0, 1.0}) {
            SampleSettings shifted = settings;
            if (settings.top_p < 1) shifted.top_p = std::max(0.0, settings.top_p + shift * kTolerance);
            shifted.min_p *= 1 + shift * kTolerance;
            const std::string found = disagreement(sample_oracle(logits, shifted), uniform, token);
            if (found.empty()) return {};
            if (text.empty()) text = found;
        }
        return text;
    }
};

}  // namespace

const OperationCheck& sample_check() {
    static const OperationCheckOf<SampleCheck> check;
    return check;
}

}  // namespace warpwright
