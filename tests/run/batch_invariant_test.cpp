// SPDX-License-Identifier: Apache-2.0
// Batch-invariant mode: the bits of a sequence's logits, whatever else is in the batch and however its tokens
// come into the cache.
#include <cstring>

#include "engine_on.h"

namespace warpwright::test {
namespace {

// The logits of every token of every sequence, in the order in which they were drawn.
using AllLogits = std::vector<std::vector<std::vector<float>>>;

struct Given {
    std::vector<Request> requests;
    EngineOptions options;
};

struct Got {
    std::vector<std::vector<i32>> tokens;
    AllLogits logits;
    EngineStats stats;
};

Got run(const std::shared_ptr<Context>& context, const Given& given) {
    Got got;
    got.tokens.resize(given.requests.size());
    got.logits.resize(given.requests.size());
    const auto engine = glossary_engine(context, given.options);
    if (engine == nullptr) return got;
    for (const Request& request : given.requests) {
        const auto id = engine->add(request);
        EXPECT_TRUE(id.ok()) << id.status().message();
    }
    while (!engine->idle()) {
        const auto step = engine->step();
        EXPECT_TRUE(step.ok()) << step.status().message();
        if (!step.ok()) return got;
        const auto logits = engine->last_logits();
        const auto& rows = engine->last_sequences();
        const auto vocabulary = static_cast<std::ptrdiff_t>(logits->size() / rows.size());
        for (const Token& token : *step) {
            const auto row = std::find(rows.begin(), rows.end(), token.sequence) - rows.begin();
            const auto begin = logits->begin() + row * vocabulary;
            const auto sequence = static_cast<std::size_t>(token.sequence);
            got.tokens[sequence].push_back(token.token);
            got.logits[sequence].emplace_back(begin, begin + vocabulary);
        }
    }
    got.stats = engine->stats();
    return got;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

int num_different(const AllLogits& got, const AllLogits& expected) {
    int different = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        for (std::size_t j = 0; j < expected[i].size(); ++j)
            different += got[i].size() <= j || !same_bits(got[i][j], expected[i][j]);
    }
    return different;
}

class BatchInvariant : public testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        auto opened = Context::open(GetParam());
        ASSERT_TRUE(opened.ok()) << opened.status().message();
        context = *opened;
        emulated = GetParam().starts_with("emulated");
        max_tokens = emulated ? 6 : 12;
        const std::vector<std::size_t> lengths =
            emulated ? std::vector<std::size_t>{3, 20, 41} : std::vector<std::size_t>{3, 20, 41, 90, 17, 150};
        for (std::size_t i = 0; i < lengths.size(); ++i) {
            Request request{random_prompt(static_cast<u32>(200 + i), lengths[i]), max_tokens, {}, false};
            // The second and the third begin alike; every other one draws.
            if (i == 2) std::copy_n(requests[1].prompt.begin(), 18, request.prompt.begin());
            if (i % 2 == 1) request.sampling = {.temperature = 0.8f, .top_p = 0.95f, .seed = 7 + i};
            requests.push_back(request);
        }
        static std::map<std::string, Got> known;
        const auto [entry, first] = known.try_emplace(GetParam());
        expected = &entry->second;
        if (!first) return;
        for (const Request& request : requests) {
            Got alone = run(context, {{request}, options()});
            EXPECT_EQ(alone.tokens[0].size(), static_cast<std::size_t>(max_tokens));
            entry->second.tokens.push_back(alone.tokens[0]);
            entry->second.logits.push_back(std::move(alone.logits[0]));
        }
    }
    EngineOptions options() const { return {.max_context_tokens = 192, .batch_invariant = true}; }
    void expect_the_same(const Got& got) const {
        EXPECT_EQ(got.tokens, expected->tokens);
        EXPECT_EQ(num_different(got.logits, expected->logits), 0);
    }

    std::shared_ptr<Context> context;
    bool emulated = false;
    i64 max_tokens = 0;
    std::vector<Request> requests;
    const Got* expected = nullptr;  // each alone
};

TEST_P(BatchInvariant, Together) {
    expect_the_same(run(context, {requests, options()}));
}

TEST_P(BatchInvariant, InChunksBesideDecoding) {
    EngineOptions chunks = options();
    chunks.max_batch_tokens = 13;
    const Got got = run(context, {requests, chunks});
    expect_the_same(got);
    EXPECT_GT(got.stats.prefill_passes, 4);
}

TEST_P(BatchInvariant, AfterPreemption) {
    EngineOptions tight = options();
    tight.page_size_tokens = 4;
    tight.cache_tokens = emulated ? 60 : 168;  // enough to begin together, too little to end so
    const Got got = run(context, {requests, tight});
    expect_the_same(got);
    EXPECT_GT(got.stats.scheduler.preemptions, 0);
}

TEST_P(BatchInvariant, WithReusedPages) {
    // The same again, one after the other, and in pages of other sizes.
    for (const i64 page_size : emulated ? std::vector<i64>{16} : std::vector<i64>{4, 16}) {
        std::vector<Request> twice = requests;
        twice.insert(twice.end(), requests.begin(), requests.end());
        EngineOptions one_by_one = options();
        one_by_one.max_sequences = 1;
        one_by_one.page_size_tokens = page_size;
        one_by_one.cache_tokens = 2048;
        Got got = run(context, {twice, one_by_one});
        EXPECT_GE(got.stats.scheduler.reused_tokens, 16 + 16 + 32);
        for (std::size_t i = 0; i < requests.size(); ++i) {
            EXPECT_EQ(got.tokens[i], got.tokens[i + requests.size()]);
            EXPECT_EQ(num_different({got.logits[i + requests.size()]}, {got.logits[i]}), 0);
        }
        got.tokens.resize(requests.size());
        got.logits.resize(requests.size());
        expect_the_same(got);
    }
}

std::vector<std::string> devices() {
    std::vector<std::string> all = test_devices();
    all.emplace_back("emulated:h100-sxm,checks=off");
    return all;
}

INSTANTIATE_TEST_SUITE_P(Devices, BatchInvariant, testing::ValuesIn(devices()), [](const auto& info) {
    std::string name = info.param.substr(0, info.param.find(','));
    std::erase_if(name, [](char c) { return c == ':' || c == '-'; });
    return name;
});

// Without the mode the batches above do make a difference on a GPU: what the others find is not nothing.
TEST(BatchVariant, BitsDependOnTheBatch) {
    auto context = Context::open("emulated:h100-sxm,checks=off");
    ASSERT_TRUE(context.ok()) << context.status().message();
    const Request request{random_prompt(201, 5), 3, {}, false};
    const EngineOptions options{.max_sequences = 16, .max_context_tokens = 64};
    const Got alone = run(*context, {{request}, options});
    Got together = run(*context, {std::vector<Request>(12, request), options});
    together.logits.resize(1);
    EXPECT_GT(num_different(together.logits, alone.logits), 0);
}

}  // namespace
}  // namespace warpwright::test
