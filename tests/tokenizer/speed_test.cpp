// SPDX-License-Identifier: Apache-2.0
// How fast one core tokenizes English, by processor time: the shipped tokenizer (Llama 3's pattern), and each
// family's, with its small vocabulary and with one as large as the large models'. The shortest of several
// runs is printed; the bounds are a third of what was measured.
#include <gtest/gtest.h>

#include <ctime>
#include <limits>

#include "engine/scratch.h"
#include "engine/tokenizer.h"
#include "tokenizer/large_vocabulary.h"

namespace warpwright {
namespace {

const std::string kRoot = WW_SOURCE_DIR;

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Megabytes a second of a tokenizer that has seen none of the text.
double speed_of(const std::string& file, const std::string& text, int runs = 5) {
    double best = std::numeric_limits<double>::infinity();
    for (int run = 0; run < runs; ++run) {
        auto tokenizer = Tokenizer::parse(file, "file");
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

std::string family_file(const std::string& family) {
    return read_all(kRoot + "/tests/tokenizer/families/" + family + ".json");
}

// Four megabytes of a text's words in another order, and one in ten a word that nobody has seen.
std::string shuffled(const std::string& text) {
    std::vector<std::string> words;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(' ', at + 1), text.size());
        words.push_back(text.substr(at, end - at));
        at = end;
    }
    std::mt19937 random(5);
    std::string out;
    while (out.size() < 4'000'000) {
        if (random() % 10 != 0) {
            out += words[random() % words.size()];
            continue;
        }
        out += ' ';
        for (u32 i = 3 + random() % 8; i > 0; --i) out += static_cast<char>('a' + random() % 26);
    }
    return out;
}

TEST(TokenizerSpeed, LargeVocabularies) {
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
    GTEST_SKIP() << "a build that is not optimized";
#endif
    const std::string text = read_all(kRoot + "/models/glossary/heldout.txt");
    const std::string mixed = shuffled(text);
    for (const auto& [family, num_tokens] :
         {std::pair("llama3", 128'000), {"tekken", 131'000}, {"gemma2", 256'000}}) {
        const std::string file =
            LargeVocabulary(nlohmann::json::parse(family_file(family)), num_tokens, text).dump();
        const double speed = speed_of(file, mixed, 2);
        printf("%s, %d tokens, %.1f MB of words in disorder: %.1f MB/s\n", family, num_tokens,
               1e-6 * static_cast<double>(mixed.size()), speed);
        EXPECT_GT(speed, 0.5) << family;
    }
}

TEST(TokenizerSpeed, English) {
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
    GTEST_SKIP() << "a build that is not optimized";
#endif
    // The held-out text once is new to the tokenizer from its first word to its last.
    const std::string text = read_all(kRoot + "/models/glossary/heldout.txt");
    ASSERT_GT(text.size(), 100000u);
    const double fast = speed_of(read_all(kRoot + "/models/glossary/tokenizer.json"), text);
    RecordProperty("shipped_mb_per_s", std::to_string(fast));
    printf("shipped, %.1f MB of English: %.1f MB/s\n", 1e-6 * static_cast<double>(text.size()), fast);
    for (const char* family : {"gpt2", "llama3", "qwen3", "tekken", "llama2", "gemma2"}) {
        const double speed = speed_of(family_file(family), text);
        printf("%s, its small vocabulary: %.1f MB/s\n", family, speed);
        EXPECT_GT(speed, 0.5) << family;
    }
    EXPECT_GT(fast, 7);
}

}  // namespace
}  // namespace warpwright
