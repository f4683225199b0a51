// SPDX-License-Identifier: Apache-2.0
#include "engine/output_text.h"

#include <gtest/gtest.h>

#include <random>

namespace warpwright {
namespace {

// All of what a matcher lets through, with the pieces given one after the other; `shown` before its end.
struct Outcome {
    std::string text, stop;
};

Outcome match(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
    StopStrings matcher(stops);
    Outcome outcome;
    for (const std::string& piece : pieces) outcome.text += matcher.push(piece);
    outcome.text += matcher.finish();
    outcome.stop = matcher.which();
    return outcome;
}

TEST(StopStrings, TextBeforeTheStopIsReturned) {
    EXPECT_EQ(match({"STOP"}, {"one STOP two"}).text, "one ");
    EXPECT_EQ(match({"STOP"}, {"one STOP two"}).stop, "STOP");
    EXPECT_EQ(match({"STOP"}, {"one STO", "P two"}).text, "one ");
    EXPECT_EQ(match({"STOP"}, {"one S", "T", "O", "P"}).text, "one ");
    EXPECT_EQ(match({"STOP"}, {"one STO"}).text, "one STO");
    EXPECT_EQ(match({"STOP"}, {"one STO", "NE"}).text, "one STONE");
    EXPECT_EQ(match({"aab"}, {"aaaab"}).text, "aa");  // falls back and goes on
    EXPECT_EQ(match({}, {"anything"}).text, "anything");
    // The first to end counts; of those that end together the longest.
    EXPECT_EQ(match({"abcd", "bc"}, {"xabcd"}).text, "xa");
    EXPECT_EQ(match({"c", "abc"}, {"xabc"}).text, "x");
    EXPECT_EQ(match({"abc", "c"}, {"xabc"}).stop, "abc");
}

TEST(StopStrings, HoldsBackOnlyWhatMayBeginAStop) {
    StopStrings matcher({"\n\nUser:", "END"});
    EXPECT_EQ(matcher.push("Hello E"), "Hello ");
    EXPECT_EQ(matcher.push("N"), "");
    EXPECT_EQ(matcher.push("d\n"), "ENd");
    EXPECT_EQ(matcher.push("\nUs"), "");
    EXPECT_EQ(matcher.push("es"), "\n\nUses");
    EXPECT_EQ(matcher.finish(), "");
    EXPECT_FALSE(matcher.found());
}

// In any pieces the outcome is what a search in the whole text finds, and what was shown is never part of a
// stop string.
TEST(StopStrings, PiecesChangeNothing) {
    std::mt19937 random(5);
    const auto letters = [&](std::size_t length) {
        std::string text;
        while (text.size() < length) text += static_cast<char>('a' + random() % 3);
        return text;
    };
    int stopped = 0;
    for (int round = 0; round < 3000; ++round) {
        std::vector<std::string> stops;
        for (unsigned i = 0; i < 1 + random() % 3; ++i) stops.push_back(letters(1 + random() % 5));
        const std::string text = letters(random() % 30);
        std::string expected = text;
        for (std::size_t end = 1; end <= text.size() && expected == text; ++end) {
            std::size_t longest = 0;
            for (const std::string& stop : stops) {
                if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
            }
            if (longest > 0) expected = text.substr(0, end - longest);
        }
        stopped += expected != text;
        StopStrings matcher(stops);
        std::string shown;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t length = 1 + random() % 4;
            shown += matcher.push(text.substr(at, length));
            ASSERT_TRUE(expected.starts_with(shown)) << text;
            at += length;
        }
        EXPECT_EQ(shown + matcher.finish(), expected) << text;
    }
    EXPECT_GT(stopped, 1000);
}

// ---- with the shipped model's tokenizer

class OutputTextTest : public testing::Test {
protected:
    void SetUp() override {
        auto loaded = Tokenizer::load(std::string(WW_SOURCE_DIR) + "/models/glossary");
        ASSERT_TRUE(loaded.ok()) << loaded.status().message();
        tokenizer = std::make_unique<Tokenizer>(std::move(*loaded));
    }
    std::vector<i32> ids(const std::string& text) const { return *tokenizer->encode(text, false); }
    static Token token(i32 id, Finish finish = Finish::running) { return {0, id, finish, nullptr}; }

    // Every token that is needed, and what it showed.
    std::vector<std::string> shown_by(OutputText& output, const std::vector<i32>& tokens) {
        std::vector<std::string> shown;
        for (std::size_t i = 0; i < tokens.size() && !output.stopped(); ++i) {
            shown.push_back(
                output.push(token(tokens[i], i + 1 == tokens.size() ? Finish::length : Finish::running)));
        }
        return shown;
    }
    std::unique_ptr<Tokenizer> tokenizer;
};

TEST_F(OutputTextTest, StopsInsideTheTextOfTokens) {
    const std::string text = "A tree is a plant with a stem. A shrub has several.";
    const auto tokens = ids(text);
    for (const std::string stop : {"stem", "em. A sh", ".", "t w", "A shrub has several"}) {
        OutputText output(*tokenizer, {.stop = {stop}});
        shown_by(output, tokens);
        EXPECT_TRUE(output.stopped()) << stop;
        EXPECT_EQ(output.stop_string(), stop);
        EXPECT_EQ(output.text(), text.substr(0, text.find(stop)));
        OutputText with_stop(*tokenizer, {.stop = {stop}, .include_stop = true});
        shown_by(with_stop, tokens);
        EXPECT_EQ(with_stop.text(), text.substr(0, text.find(stop) + stop.size()));
    }
    OutputText none(*tokenizer, {.stop = {"bush"}});
    shown_by(none, tokens);
    EXPECT_FALSE(none.stopped());
    EXPECT_EQ(none.text(), text);
}

TEST_F(OutputTextTest, CharactersOfSeveralTokensAreShownWhole) {
    const std::string text = "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\xb3!";
    OutputText output(*tokenizer, {.stop = {"\xf0\x9f\x8c\xb3"}});
    for (const std::string& piece : shown_by(output, ids(text))) {
        for (const char c : piece) EXPECT_NE(static_cast<unsigned char>(c) & 0xf8, 0xf0);
    }
    EXPECT_EQ(output.text(), "caf\xc3\xa9 \xe2\x82\xac ");
}

TEST_F(OutputTextTest, ATokenThatEndsTheSequenceIsNoText) {
    const auto tokens = ids("oak ash");
    ASSERT_GE(tokens.size(), 2u);
    OutputText output(*tokenizer, {.stop = {"ash tree"}});
    std::string shown = output.push(token(tokens[0]));
    for (std::size_t i = 1; i < tokens.size(); ++i) shown += output.push(token(tokens[i]));
    EXPECT_EQ(shown, "oak ");
    EXPECT_EQ(output.push(token(tokens[0], Finish::stop)), "ash");  // what was held back
    EXPECT_EQ(output.text(), "oak ash");
    EXPECT_EQ(output.finish(), "");
    EXPECT_EQ(output.push(token(tokens[0])), "");
}

TEST_F(OutputTextTest, TheFirstTokensAreNotLookedAt) {
    const auto tokens = ids("oak oak oak oak");
    OutputText output(*tokenizer, {.stop = {"oak"}, .min_tokens = static_cast<i64>(ids("oak oak").size())});
    shown_by(output, tokens);
    EXPECT_TRUE(output.stopped());
    EXPECT_EQ(output.text(), "oak oak ");
}

TEST_F(OutputTextTest, WhatIsHeldBackComesWhenTheSequenceIsCutShort) {
    OutputText output(*tokenizer, {.stop = {"oak tree"}});
    std::string shown;
    for (const i32 id : ids("an oak")) shown += output.push(token(id));
    EXPECT_EQ(shown, "an ");
    EXPECT_EQ(output.finish(), "oak");
    EXPECT_EQ(output.text(), "an oak");
}

}  // namespace
}  // namespace warpwright
