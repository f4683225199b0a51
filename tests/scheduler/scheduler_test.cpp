// SPDX-License-Identifier: Apache-2.0
// The scheduler against a model that is a function of the tokens it can see in its pages: whatever the
// batches, chunks, preemptions and reused pages, every sequence must get what it would get alone.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace warpwright {
namespace {

constexpr i32 kVocabulary = 50;

i32 next_token(std::span<const i32> tokens) {
    return static_cast<i32>(PageCache::content_hash(17, tokens) % kVocabulary);
}

std::unique_ptr<Sequence> make_sequence(int id, std::vector<i32> prompt, i64 max_tokens) {
    auto sequence = std::make_unique<Sequence>();
    sequence->id = id;
    sequence->prompt_tokens = static_cast<i64>(prompt.size());
    sequence->max_tokens = max_tokens;
    sequence->tokens = std::move(prompt);
    return sequence;
}

// Pages as a device has them: tokens in place of keys and values.
class Simulation {
public:
    explicit Simulation(const SchedulerOptions& options)
        : scheduler(options),
          options_(options),
          memory_(static_cast<std::size_t>(options.num_pages * options.page_size_tokens), -1) {}

    void add(int id, const std::vector<i32>& prompt, i64 max_tokens) {
        scheduler.add(make_sequence(id, prompt, max_tokens));
        alive_.insert(id);
    }

    void cancel(int id) {
        EXPECT_TRUE(scheduler.cancel(id));
        alive_.erase(id);
    }

    // One pass: everything is written before anything is read.
    void step() {
        const Pass& pass = scheduler.next();
        check(pass);
        for (const Pass::Part& part : pass.parts) {
            for (i64 i = part.first; i < part.first + part.count; ++i)
                slot(*part.sequence, i) = part.sequence->tokens[static_cast<std::size_t>(i)];
        }
        std::vector<i32> sampled;
        for (const Pass::Part& part : pass.parts) {
            std::vector<i32> seen;
            for (i64 i = 0; i < part.first + part.count; ++i) seen.push_back(slot(*part.sequence, i));
            EXPECT_TRUE(std::equal(seen.begin(), seen.end(), part.sequence->tokens.begin()))
                << "sequence " << part.sequence->id << " sees pages of another";
            sampled.push_back(next_token(seen));
        }
        if (!pass.only_decodes() && pass.num_decoding > 0) ++mixed_passes;
        ++passes;
        for (const Token& token : scheduler.finish(sampled)) {
            output[token.sequence].push_back(token.token);
            if (token.finish != Finish::running) alive_.erase(token.sequence);
        }
    }

    Scheduler scheduler;
    std::map<int, std::vector<i32>> output;
    i64 passes = 0, mixed_passes = 0;

private:
    i32& slot(const Sequence& sequence, i64 position) {
        const i64 page = sequence.pages[static_cast<std::size_t>(position / options_.page_size_tokens)];
        return memory_[static_cast<std::size_t>(page * options_.page_size_tokens +
                                                position % options_.page_size_tokens)];
    }

    void check(const Pass& pass) {
        ASSERT_FALSE(pass.parts.empty());
        EXPECT_LE(pass.tokens, options_.max_batch_tokens);
        EXPECT_LE(static_cast<i64>(pass.parts.size()), options_.max_sequences);
        std::set<int> served;
        i64 tokens = 0;
        for (std::size_t i = 0; i < pass.parts.size(); ++i) {
            const Pass::Part& part = pass.parts[i];
            EXPECT_TRUE(served.insert(part.sequence->id).second);
            EXPECT_TRUE(alive_.contains(part.sequence->id));
            EXPECT_GE(part.count, 1);
            EXPECT_EQ(part.samples, part.first + part.count == part.sequence->num_tokens());
            if (static_cast<i64>(i) < pass.num_decoding) {
                EXPECT_EQ(part.count, 1);
            }
            tokens += part.count;
        }
        EXPECT_EQ(tokens, pass.tokens);
        // Nobody overtakes: who is not served came after everyone who is. One may wait for pages inside its
        // prompt, and is then the youngest of those that have any.
        for (const int id : alive_) {
            if (!served.contains(id)) {
                EXPECT_GT(id, *served.rbegin());
            }
        }
    }

    SchedulerOptions options_;
    std::vector<i32> memory_;
    std::set<int> alive_;
};

std::vector<i32> alone(std::vector<i32> tokens, i64 max_tokens) {
    const std::size_t prompt = tokens.size();
    for (i64 i = 0; i < max_tokens; ++i) tokens.push_back(next_token(tokens));
    return {tokens.begin() + static_cast<std::ptrdiff_t>(prompt), tokens.end()};
}

TEST(Scheduler, RandomArrivalsGetWhatTheyWouldGetAlone) {
    i64 preemptions = 0, reused = 0, mixed = 0;
    for (u32 seed = 0; seed < 200; ++seed) {
        std::mt19937 random(seed);
        const auto below = [&](i64 end) { return static_cast<i64>(random() % static_cast<u32>(end)); };
        SchedulerOptions options;
        options.page_size_tokens = i64{1} << below(4);
        options.max_sequences = 1 + below(6);
        options.max_batch_tokens = options.max_sequences + below(30);
        const i64 longest = 60;
        options.num_pages = (longest + options.page_size_tokens - 1) / options.page_size_tokens +
                            below(3 * longest / options.page_size_tokens);
        Simulation simulation(options);

        struct Arrival {
            std::vector<i32> prompt;
            i64 max_tokens;
        };
        std::vector<Arrival> arrivals;
        std::set<int> cancelled;
        const int count = 25;
        i64 total_tokens = 0;
        for (int guard = 0; static_cast<int>(arrivals.size()) < count || !simulation.scheduler.idle();
             ++guard) {
            ASSERT_LT(guard, 20000) << "seed " << seed << ": no end";
            while (static_cast<int>(arrivals.size()) < count && below(3) == 0) {
                std::vector<i32> prompt(static_cast<std::size_t>(1 + below(40)));
                // Half of the prompts begin like an earlier one.
                for (i32& token : prompt) token = static_cast<i32>(below(kVocabulary));
                if (!arrivals.empty() && below(2) == 0) {
                    const auto& other =
                        arrivals[static_cast<std::size_t>(below(static_cast<i64>(arrivals.size())))].prompt;
                    std::copy_n(other.begin(), std::min(prompt.size(), other.size()), prompt.begin());
                }
                const i64 max_tokens = 1 + below(longest - static_cast<i64>(prompt.size()));
                total_tokens += static_cast<i64>(prompt.size()) + max_tokens;
                simulation.add(static_cast<int>(arrivals.size()), prompt, max_tokens);
                arrivals.push_back({prompt, max_tokens});
            }
            if (simulation.scheduler.idle()) continue;
            simulation.step();
            if (below(60) == 0) {
                const int id = static_cast<int>(below(static_cast<i64>(arrivals.size())));
                const auto done = static_cast<i64>(simulation.output[id].size());
                if (!cancelled.contains(id) && done < arrivals[static_cast<std::size_t>(id)].max_tokens) {
                    simulation.cancel(id);
                    cancelled.insert(id);
                }
            }
        }
        for (int id = 0; id < count; ++id) {
            const Arrival& arrival = arrivals[static_cast<std::size_t>(id)];
            std::vector<i32> expected = alone(arrival.prompt, arrival.max_tokens);
            const auto& got = simulation.output[id];
            if (cancelled.contains(id)) {
                ASSERT_LT(got.size(), expected.size());
                expected.resize(got.size());
            }
            EXPECT_EQ(got, expected) << "seed " << seed << " sequence " << id;
        }
        const SchedulerStats stats = simulation.scheduler.stats();
        EXPECT_EQ(stats.free_pages, options.num_pages) << "seed " << seed << ": pages leaked";
        EXPECT_EQ(stats.waiting + stats.reading + stats.decoding, 0);
        preemptions += stats.preemptions;
        reused += stats.reused_tokens;
        mixed += simulation.mixed_passes;
    }
    // All of it has happened.
    EXPECT_GT(preemptions, 100);
    EXPECT_GT(reused, 1000);
    EXPECT_GT(mixed, 1000);
}

TEST(Scheduler, DecodingGoesOnWhileALongPromptIsRead) {
    Simulation simulation(
        {.max_sequences = 4, .max_batch_tokens = 16, .num_pages = 100, .page_size_tokens = 4});
    simulation.add(0, {1, 2, 3}, 50);
    simulation.step();
    simulation.add(1, std::vector<i32>(100, 7), 5);
    for (int i = 0; i < 7; ++i) {  // 15 tokens of the prompt beside each token of the other
        simulation.step();
        EXPECT_EQ(simulation.output[0].size(), 2u + static_cast<std::size_t>(i));
        EXPECT_EQ(simulation.output[1].size(), i < 6 ? 0u : 1u);
    }
}

TEST(Scheduler, SequencesOfOnePromptReadItOnce) {
    Simulation simulation(
        {.max_sequences = 8, .max_batch_tokens = 64, .num_pages = 100, .page_size_tokens = 4});
    std::vector<i32> prompt(42);
    for (std::size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<i32>(i);
    for (int id = 0; id < 8; ++id) simulation.add(id, prompt, 3);
    simulation.step();
    // One reads 42 tokens, the others in the same pass the 2 behind the last full page.
    EXPECT_EQ(simulation.scheduler.stats().read_tokens, 42 + 7 * 2);
    EXPECT_EQ(simulation.scheduler.stats().reused_tokens, 7 * 40);
    EXPECT_EQ(simulation.scheduler.stats().free_pages, 100 - (10 + 8 * 1));
    while (!simulation.scheduler.idle()) simulation.step();
    for (int id = 0; id < 8; ++id) EXPECT_EQ(simulation.output[id], alone(prompt, 3));
}

TEST(Scheduler, APromptOfFullPagesReadsItsLastTokenAgain) {
    Simulation simulation(
        {.max_sequences = 1, .max_batch_tokens = 64, .num_pages = 10, .page_size_tokens = 4});
    const std::vector<i32> prompt{1, 2, 3, 4, 5, 6, 7, 8};
    simulation.add(0, prompt, 1);
    simulation.step();
    simulation.add(1, prompt, 1);
    simulation.step();
    EXPECT_EQ(simulation.scheduler.stats().reused_tokens, 4);
    EXPECT_EQ(simulation.output[0], simulation.output[1]);
}

TEST(Scheduler, ThePreemptedOneReadsWhatItHadWritten) {
    // Pages for 32 tokens; two sequences that grow to 24 each.
    Simulation simulation(
        {.max_sequences = 2, .max_batch_tokens = 64, .num_pages = 8, .page_size_tokens = 4});
    const std::vector<i32> first{1, 2, 3, 4}, second{5, 6, 7, 8};
    simulation.add(0, first, 20);
    simulation.add(1, second, 20);
    while (!simulation.scheduler.idle()) simulation.step();
    EXPECT_EQ(simulation.output[0], alone(first, 20));
    EXPECT_EQ(simulation.output[1], alone(second, 20));
    EXPECT_EQ(simulation.scheduler.stats().preemptions, 1);
    EXPECT_GT(simulation.scheduler.stats().read_tokens, 8);
}

TEST(Scheduler, RowsStaySideBySide) {
    Simulation simulation(
        {.max_sequences = 4, .max_batch_tokens = 64, .num_pages = 100, .page_size_tokens = 4});
    for (int id = 0; id < 4; ++id) simulation.add(id, {id, id + 1}, id == 1 ? 2 : 10);
    simulation.step();
    simulation.step();  // sequence 1 is done: the last one has its row now
    const Pass& pass = simulation.scheduler.next();
    ASSERT_EQ(pass.parts.size(), 3u);
    EXPECT_EQ(pass.parts[0].sequence->id, 0);
    EXPECT_EQ(pass.parts[1].sequence->id, 3);
    EXPECT_EQ(pass.parts[2].sequence->id, 2);
}

TEST(Scheduler, EndingTokensCountFromMinTokensOn) {
    Scheduler scheduler({.max_sequences = 1, .max_batch_tokens = 8, .num_pages = 8, .page_size_tokens = 4});
    auto sequence = make_sequence(0, {1, 2}, 10);
    sequence->ending = {9};
    sequence->min_tokens = 3;
    scheduler.add(std::move(sequence));
    std::vector<Finish> finishes;
    for (const i32 token : {9, 4, 9}) {
        scheduler.next();
        finishes.push_back(scheduler.finish(std::vector<i32>{token})[0].finish);
    }
    EXPECT_EQ(finishes, (std::vector<Finish>{Finish::running, Finish::running, Finish::stop}));
    EXPECT_TRUE(scheduler.idle());
}

}  // namespace
}  // namespace warpwright
