// SPDX-License-Identifier: Apache-2.0
#include "warpwright/ops/moe_route.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <set>

#include "check/ops/checks.h"
#include "kernels/moe/route/operation.h"
#include "kernels/moe/route/oracle.h"

namespace warpwright {
namespace {

// why: scores are within 4 units in the last place of values up to 8 or so, a bias adds one of the sum's, and
// a group's sum of two another.
constexpr double kChoiceTolerance = 32 * 0x1p-24;

// Empty when nothing that could be chosen counts more than what was.
std::string wrong_choice(const std::vector<float>& logits, const std::vector<i32>& ids,
                         const MoeRouteInputs& in) {
    const std::vector<double> choices = expert_choices(logits, in);
    const std::vector<double> groups = group_choices(choices, in);
    const std::size_t size = choices.size() / groups.size();
    const auto exceeds = [](double a, double b) { return a > b + kChoiceTolerance; };
    std::set<i32> taken;
    std::set<std::size_t> groups_taken;
    double before = std::numeric_limits<double>::infinity();
    for (const i32 id : ids) {
        if (id < 0 || static_cast<std::size_t>(id) >= choices.size()) return fmt::format("no expert {}", id);
        if (!taken.insert(id).second) return fmt::format("expert {} was chosen twice", id);
        const double choice = choices[static_cast<std::size_t>(id)];
        if (exceeds(choice, before)) return fmt::format("expert {} comes after lesser ones", id);
        before = choice;
        groups_taken.insert(static_cast<std::size_t>(id) / size);
    }
    if (static_cast<i64>(groups_taken.size()) > in.top_groups) {
        return fmt::format("{} groups were chosen", groups_taken.size());
    }
    // Groups that are better than the last one that may be taken must have been taken into account: what they
    // have left out may count no more than the last one taken.
    std::vector<double> sorted = groups;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    const double last_group = sorted[static_cast<std::size_t>(in.top_groups) - 1];
    for (const std::size_t group : groups_taken) {
        if (exceeds(last_group, groups[group])) return fmt::format("group {} is not among the best", group);
    }
    for (std::size_t i = 0; i < choices.size(); ++i) {
        const bool sure =
            in.num_groups == 1 || exceeds(groups[i / size], last_group) || groups_taken.count(i / size) > 0;
        if (sure && taken.count(static_cast<i32>(i)) == 0 && exceeds(choices[i], before)) {
            return fmt::format("expert {} counts more than the last one chosen", i);
        }
    }
    return {};
}

// The rest of the flavour that a model with this problem has.
MoeRouteInputs flavour(const MoeRouteProblem& problem) {
    const bool sigmoid_like = problem.score != ExpertScore::softmax;
    return {.score = problem.score,
            .renormalize = problem.top_k % 2 == 0 && (problem.bias || problem.num_groups == 1),
            .scale = sigmoid_like ? 2.5 : 1,
            .num_groups = problem.num_groups,
            .top_groups = problem.top_groups,
            .by_pairs = problem.bias};
}

// Every fourth token has special values; the first of them none that is finite.
i32 spoil(std::vector<float>& logits, i64 experts) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    i32 num_nan = 0;
    for (std::size_t token = 0; token * static_cast<std::size_t>(experts) < logits.size(); token += 4) {
        const auto row = logits.begin() + static_cast<std::ptrdiff_t>(token) * experts;
        for (i64 i = 0; i < experts; ++i) {
            if (token == 0 || i % 5 == 1) {
                row[i] = std::nanf("");
                ++num_nan;
            } else if (i % 7 == 3) {
                row[i] = -kInfinity;
            } else if (i == 2 && token % 8 == 0) {
                row[i] = kInfinity;
            } else if (i % 3 == 0) {
                row[i] = 1;  // ties
            }
        }
    }
    return num_nan;
}

struct MoeRouteCheck {
    using Op = MoeRouteOp;

    static std::vector<MoeRouteProblem> problems() {
        std::vector<MoeRouteProblem> problems;
        for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
            problems.push_back({.tokens = 33, .experts = 128, .top_k = 8, .dtype = dtype});
        }
        using enum ExpertScore;
        constexpr DType f32 = DType::f32;
        problems.push_back({1, 8, 2, DType::bf16, softmax});                     // Mixtral
        problems.push_back({9, 60, 4, DType::bf16, softmax, false, 2, 2});       // Qwen2-MoE
        problems.push_back({17, 160, 6, f32, softmax, false, 8, 3});             // DeepSeek-V2
        problems.push_back({300, 256, 8, f32, sigmoid, true, 8, 4});             // DeepSeek-V3
        problems.push_back({21, 384, 8, f32, sigmoid, true});                    // Kimi-K2
        problems.push_back({5, 16, 1, DType::bf16, sigmoid});                    // Llama 4
        problems.push_back({13, 256, 6, f32, sqrt_softplus, true});              // DeepSeek-V4
        problems.push_back({13, 256, 6, f32, sqrt_softplus, true, 1, 1, true});  // its first layers
        problems.push_back({3, 1024, 32, f32, softmax, true, 32, 7});
        problems.push_back({3, 1, 1, f32, softmax});
        problems.push_back({6, 33, 32, DType::f16, sigmoid, false, 33 / 11, 3, true});
        return problems;
    }

    static void run(Workbench& bench, const MoeRouteProblem& problem, CheckResult& result) {
        const i64 tokens = problem.tokens, experts = problem.experts, top_k = problem.top_k;
        MoeRouteInputs in = flavour(problem);
        const Tensor stored = bench.input(problem.dtype, {tokens, experts + 3}, 2);
        Tensor logits = stored;
        logits.shape[1] = experts;
        std::vector<float> values = bench.read(logits);
        const i32 num_nan = spoil(values, experts);
        std::vector<float> padded(static_cast<std::size_t>(tokens * (experts + 3)), 77);
        for (i64 i = 0; i < tokens * experts; ++i) {
            padded[static_cast<std::size_t>(i / experts * (experts + 3) + i % experts)] =
                values[static_cast<std::size_t>(i)];
        }
        bench.write(stored, padded);
        MoeRoute call{.logits = logits,
                      .ids = bench.output(DType::i32, {tokens, top_k}),
                      .weights = bench.output(DType::f32, {tokens, top_k}),
                      .score = problem.score,
                      .renormalize = in.renormalize,
                      .scale = static_cast<float>(in.scale),
                      .num_groups = problem.num_groups,
                      .top_groups = problem.top_groups,
                      .by_pairs = in.by_pairs,
                      .nan_count = bench.integers({5})};
        if (problem.bias) {
            call.bias = bench.input(DType::f32, {experts}, 0.1);
            in.bias = bench.read(call.bias);
        }
        std::vector<i32> given;
        if (problem.table) {
            constexpr i64 kTableRows = 50;
            std::vector<i32> table, token_ids;
            for (i64 i = 0; i < kTableRows * top_k; ++i) {
                table.push_back(static_cast<i32>(bench.random()() % static_cast<u64>(experts + 2)) - 1);
            }
            for (i64 token = 0; token < tokens; ++token) {
                const i32 row = static_cast<i32>(bench.random()() % (kTableRows + 2)) - 1;
                token_ids.push_back(row);
                for (i64 j = 0; j < top_k; ++j) {
                    const bool known = row >= 0 && row < kTableRows;
                    const i32 id = known ? table[static_cast<std::size_t>(row * top_k + j)] : -1;
                    given.push_back(id < experts ? id : -1);
                }
            }
            call.table = bench.integers(table);
            call.table.rank = 2;
            call.table.shape = {kTableRows, top_k};
            call.table.stride = {top_k, 1};
            call.token_ids = bench.integers(token_ids);
        }
        const Status status = moe_route(bench.context(), bench.stream(), call);
        if (!status.ok()) return judge(result, bench, {false, 0, 0, status.message()}, "launch");

        const std::vector<i32> ids = bench.read_integers(call.ids);
        std::vector<double> answer;
        std::vector<float> reference;
        for (i64 token = 0; token < tokens; ++token) {
            const std::vector<float> own(values.begin() + token * experts,
                                         values.begin() + (token + 1) * experts);
            const std::vector<i32> chosen(ids.begin() + token * top_k, ids.begin() + (token + 1) * top_k);
            if (problem.table) {
                if (!std::equal(chosen.begin(), chosen.end(), given.begin() + token * top_k)) {
                    judge(result, bench, {false, 0, 0, fmt::format("token {}: not the table's", token)},
                          "ids");
                    return;
                }
            } else if (const std::string wrong = wrong_choice(own, chosen, in); !wrong.empty()) {
                judge(result, bench, {false, 0, 0, fmt::format("token {}: {}", token, wrong)}, "ids");
                return;
            }
            for (const double weight : expert_weights<double>(own, chosen, in)) answer.push_back(weight);
            for (const float weight : expert_weights<float>(own, chosen, in)) reference.push_back(weight);
        }
        judge(result, bench, compare(bench.read(call.weights), answer, reference, largest(answer)),
              "weights");
        const i32 counted = bench.read_integers(call.nan_count)[0];
        if (counted != 5 + num_nan) {
            judge(result, bench, {false, 0, 0, fmt::format("counted {} NaN of {}", counted - 5, num_nan)},
                  "nan_count");
        }
    }
};

}  // namespace

const OperationCheck& moe_route_check() {
    static const OperationCheckOf<MoeRouteCheck> check;
    return check;
}

}  // namespace warpwright
