// SPDX-License-Identifier: Apache-2.0
// How fast one core tokenizes English, by processor time: the shipped tokenizer (Llama 3's pattern), and each
// family's. The shortest of several runs is printed; the bound is a third of what was measured.
#include <gtest/gtest.h>

#include <ctime>
#include <limits>

#include "engine/scratch.h"
#include "engine/tokenizer.h"

namespace warpwright {
namespace {

const std::string kRoot = WW_SOURCE_DIR;

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Megabytes a second of a tokenizer that has seen none of the text.
double speed_of(const std::string& file, const std::string& text) {
    double best = std::numeric_limits<double>::infinity();
    for (int run = 0; run < 5; ++run) {
        auto tokenizer = Tokenizer::load(file);
        EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
        EXPECT_TRUE(tokenizer->encode("The first text builds the tables.").ok());
        const double start = cpu_seconds();
        const auto ids = tokenizer->encode(text);
        best = std::min(best, cpu_seconds() - start);
        EXPECT_TRUE(ids.ok());
        if (run == 0) {
            EXPECT_EQ(tokenizer->decode(*ids), text);
        }
    }
    return static_cast<double>(text.size()) * 1e-6 / best;
}

TEST(TokenizerSpeed, English) {
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
    GTEST_SKIP() << "a build that is not optimized";
#endif
    // The held-out text once is new to the tokenizer from its first word to its last.
    const std::string text = read_all(kRoot + "/models/glossary/heldout.txt");
    ASSERT_GT(text.size(), 100000u);
    const double fast = speed_of(kRoot + "/models/glossary/tokenizer.json", text);
    RecordProperty("shipped_mb_per_s", std::to_string(fast));
    printf("shipped, %.1f MB of English: %.1f MB/s\n", 1e-6 * static_cast<double>(text.size()), fast);
    for (const char* family : {"gpt2", "llama3", "qwen3", "tekken", "llama2", "gemma2"}) {
        const double speed = speed_of(kRoot + "/tests/tokenizer/families/" + family + ".json", text);
        printf("%s, its small vocabulary: %.1f MB/s\n", family, speed);
        EXPECT_GT(speed, 0.5) << family;
    }
    EXPECT_GT(fast, 7);
}

}  // namespace
}  // namespace warpwright
