// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/logits.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "check/ops/checks.h"
#include "kernels/fused/logits/operation.h"
#include "kernels/fused/logits/oracle.h"

namespace warpwright {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Lists of every length: none, all tokens, one, a few; in no order, with tokens outside the vocabulary. What
// lies behind the last one must not be read.
void choose_lists(const LogitsProblem& problem, std::mt19937_64& random, LogitsInputs& in) {
    constexpr float kRepetitions[] = {1, 1.3f, 0.7f, 2};
    constexpr float kAddends[] = {0, -2.5f, 100, -0.3f, -kInfinity};
    std::vector<i32> ids(static_cast<std::size_t>(problem.vocabulary) + 2);
    std::iota(ids.begin(), ids.end(), -1);  // one on either side of the vocabulary
    in.starts = {0};
    for (i64 row = 0; row < problem.rows; ++row) {
        const auto room = static_cast<std::size_t>(problem.entries) - in.tokens.size();
        std::size_t length = 0;
        switch (row % 4) {
            case 1: length = ids.size(); break;
            case 2: length = 1; break;
            case 3: length = 1 + random() % 700; break;
            default: length = row == 0 && problem.rows == 1 ? ids.size() : 0; break;
        }
        length = std::min({length, room, ids.size()});
        std::shuffle(ids.begin(), ids.end(), random);
        in.tokens.insert(in.tokens.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(length));
        in.starts.push_back(static_cast<i32>(in.tokens.size()));
    }
    for (std::size_t entry = 0; entry < in.tokens.size(); ++entry) {
        in.repetition.push_back(kRepetitions[random() % std::size(kRepetitions)]);
        in.addend.push_back(kAddends[random() % std::size(kAddends)]);
        if (problem.bias) in.bias.push_back(static_cast<float>(random() % 9) - 4);
    }
    const auto entries = static_cast<std::size_t>(problem.entries);
    in.tokens.resize(entries, 0);
    in.repetition.resize(entries, kNan);
    in.addend.resize(entries, kNan);
    if (problem.bias) in.bias.resize(entries, kNan);
}

struct LogitsCheck {
    using Op = LogitsOp;

    static std::vector<LogitsProblem> problems() {
        std::vector<LogitsProblem> problems;
        for (float softcap : {0.0f, 30.0f}) {
            for (bool in_place : {true, false}) {
                for (i64 entries : {0, 3000}) {
                    if (softcap == 0 && in_place && entries == 0) continue;  // nothing to do
                    problems.push_back({5, 1000, entries, softcap, in_place, entries > 0 && in_place});
                    problems.push_back({3, 1003, entries, softcap, in_place, entries > 0 && !in_place, 4});
                    problems.push_back({1, 8, entries, softcap, in_place});
                }
            }
        }
        problems.push_back({1, 128256, 130000, 0, true});
        problems.push_back({1, 256000, 1000, 30, true});
        problems.push_back({4, 151936, 200000, 0.5f, false, true});
        problems.push_back({2, 1, 7, 5, false, false, 4});
        problems.push_back({13, 32064, 90000, 0, true, true});
        return problems;
    }

    static void run(Workbench& bench, const LogitsProblem& problem, CheckResult& result) {
        const bool misaligned = problem.alignment_bytes < 16;
        const i64 rows = problem.rows, vocabulary = problem.vocabulary;
        // Rows lie further apart than they are long; what is between them stays.
        const i64 in_stride = vocabulary + (misaligned ? 3 : 4),
                  out_stride = problem.in_place ? in_stride : vocabulary;
        LogitsInputs in{.vocabulary = vocabulary, .softcap = problem.softcap};
        const Tensor stored = bench.in_place(DType::f32, {rows, in_stride}, 20, misaligned);
        const std::vector<float> before = bench.read(stored);
        for (i64 row = 0; row < rows; ++row) {
            const auto start = before.begin() + row * in_stride;
            in.values.insert(in.values.end(), start, start + vocabulary);
        }
        const auto view = [&](Tensor tensor, i64 stride) {
            tensor.shape = {rows, vocabulary};
            tensor.stride = {stride, 1};
            return tensor;
        };
        const Tensor separate =
            problem.in_place ? stored : bench.output(DType::f32, {rows, vocabulary}, misaligned);
        Logits call{
            .in = view(stored, in_stride), .out = view(separate, out_stride), .softcap = problem.softcap};
        if (problem.entries > 0) {
            choose_lists(problem, bench.random(), in);
            const auto floats = [&](const std::vector<float>& list) {
                const Tensor tensor = bench.input(DType::f32, {problem.entries});
                bench.write(tensor, list);
                return tensor;
            };
            call.starts = bench.integers(in.starts);
            call.tokens = bench.integers(in.tokens);
            call.repetition = floats(in.repetition);
            call.addend = floats(in.addend);
            if (problem.bias) call.bias = floats(in.bias);
        }
        const Status status = logits(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const std::vector<double> answer = logits_oracle<double>(in);
        const std::vector<float> reference = logits_oracle<float>(in);
        const std::vector<float> raw = bench.read(separate), after = bench.read(stored);
        std::vector<float> got;
        bool gaps_stay = true;
        for (i64 row = 0; row < rows; ++row) {
            const auto start = raw.begin() + row * out_stride;
            got.insert(got.end(), start, start + vocabulary);
            for (i64 i = problem.in_place ? vocabulary : 0; i < in_stride; ++i) {
                const auto at = static_cast<std::size_t>(row * in_stride + i);
                gaps_stay &= after[at] == before[at];
            }
        }
        judge(result, bench, compare(got, answer, reference, largest(answer)), "out");
        if (!gaps_stay) judge(result, bench, {false, 0, 0, "changed what is no output"}, "in");
    }
};

}  // namespace

const OperationCheck& logits_check() {
    static const OperationCheckOf<LogitsCheck> check;
    return check;
}

}  // namespace warpwright
