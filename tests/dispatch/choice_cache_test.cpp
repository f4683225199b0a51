// SPDX-License-Identifier: Apache-2.0
// Choices that are remembered are those that would be made.
#include "dispatch/choice_cache.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "dispatch/prepare.h"
#include "kernels/attention/operation.h"
#include "kernels/gemm/operation.h"

namespace warpwright {
namespace {

TEST(ChoiceCache, EveryFieldIsPartOfTheKey) {
    std::set<std::vector<u64>> keys;
    const auto words = [](const ChoiceKey& key) {
        std::vector<u64> all(key.fields.begin(), key.fields.begin() + key.num_fields);
        all.push_back(key.batch_invariant);
        return all;
    };
    AttentionProblem problem;
    keys.insert(words(choice_key<AttentionOp>(problem, false)));
    keys.insert(words(choice_key<AttentionOp>(problem, true)));
    std::size_t num_fields = 0;
    AttentionProblem::visit(problem, [&](const char*, auto& field) {
        const auto before = field;
        field = static_cast<std::decay_t<decltype(field)>>(field == decltype(before){} ? 1 : 0);
        keys.insert(words(choice_key<AttentionOp>(problem, false)));
        field = before;
        ++num_fields;
    });
    EXPECT_EQ(keys.size(), num_fields + 2);
    EXPECT_FALSE(choice_key<GemmOp>({}, false) == choice_key<GemmOp>({.m = 2}, false));
    EXPECT_TRUE(choice_key<GemmOp>({.m = 2}, false) == choice_key<GemmOp>({.m = 2}, false));
}

TEST(ChoiceCache, ContextsChooseAsWithoutIt) {
    const auto context = *Context::open("emulated:rtx-5090");
    for (int round = 0; round < 2; ++round) {
        for (i64 m : {1, 3, 64, 500, 4096}) {
            for (bool batch_invariant : {false, true}) {
                const GemmProblem problem{.m = m, .n = 4096, .k = 4096};
                const auto cached = choose_in<GemmOp>(*context, problem, batch_invariant);
                const auto plain =
                    choose<GemmOp>(context->target(), problem, {.batch_invariant = batch_invariant});
                ASSERT_TRUE(cached.ok() && plain.ok());
                EXPECT_EQ(*cached, *plain);
            }
        }
        EXPECT_EQ(context->choices().size(), 10u);
    }
}

TEST(ChoiceCache, WishesAreHeard) {
    const auto context = *Context::open("emulated:rtx-5090");
    const GemmProblem problem{.m = 512, .n = 4096, .k = 4096};
    const GemmRow* free = *choose_in<GemmOp>(*context, problem, false);
    context->forbid(free->name.text, "failed its check");
    const GemmRow* second = *choose_in<GemmOp>(*context, problem, false);
    EXPECT_NE(second, free);
    context->force("gemm", free->name.text);
    EXPECT_EQ(*choose_in<GemmOp>(*context, problem, false), free);
    context->force("gemm", "");
    EXPECT_EQ(*choose_in<GemmOp>(*context, problem, false), second);
    context->forbid(free->name.text, "");
    EXPECT_EQ(*choose_in<GemmOp>(*context, problem, false), free);
}

TEST(ChoiceCache, AChoiceOfEarlierWishesIsNotKept) {
    ChoiceCache cache;
    const ChoiceKey key = choice_key<GemmOp>({}, false);
    const u64 generation = cache.generation();
    cache.clear();
    cache.insert(key, &cache, generation);
    EXPECT_EQ(cache.find(key), nullptr);
    cache.insert(key, &cache, cache.generation());
    EXPECT_EQ(cache.find(key), &cache);
}

TEST(ChoiceCache, IsBounded) {
    ChoiceCache cache;
    for (i64 m = 1; m <= 3 * static_cast<i64>(ChoiceCache::kMaxChoices); ++m)
        cache.insert(choice_key<GemmOp>({.m = m}, false), &cache, cache.generation());
    EXPECT_LE(cache.size(), ChoiceCache::kMaxChoices);
    EXPECT_GE(cache.size(), 1u);
}

TEST(ChoiceCache, ManyThreadsAndWishesAtOnce) {
    const auto context = *Context::open("emulated:rtx-5090");
    const GemmProblem probe{.m = 512, .n = 4096, .k = 4096};
    const GemmRow* best = *choose_in<GemmOp>(*context, probe, false);
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 300; ++i) {
                if (t == 0) context->forbid(best->name.text, i % 2 == 0 ? "reason" : "");
                const GemmProblem problem{.m = 1 + (i * 7 + t) % 50, .n = 4096, .k = 4096};
                EXPECT_TRUE(choose_in<GemmOp>(*context, problem, false).ok());
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(*choose_in<GemmOp>(*context, probe, false), best);
}

// The bar is 0.3 us; shared machines and sanitizers get ten times that.
TEST(ChoiceCache, ALookUpTakesAFractionOfAMicrosecond) {
    const auto context = *Context::open("emulated:rtx-5090");
    const AttentionProblem problem{.sequences = 64, .max_kv_len = 8192};
    ASSERT_TRUE(choose_in<AttentionOp>(*context, problem, false).ok());
    constexpr int kLookUps = 2000;
    double best_us = 1e9;
    for (int round = 0; round < 20; ++round) {
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < kLookUps; ++i) (void)choose_in<AttentionOp>(*context, problem, false);
        const std::chrono::duration<double, std::micro> elapsed = std::chrono::steady_clock::now() - start;
        best_us = std::min(best_us, elapsed.count() / kLookUps);
    }
    RecordProperty("us", std::to_string(best_us));
    EXPECT_LT(best_us, 3);
}

}  // namespace
}  // namespace warpwright
