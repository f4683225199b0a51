// SPDX-License-Identifier: Apache-2.0
// tokenizer.json files that are wrong, huge, or traps: one clear error that names file and field, within
// bounded time and memory.
#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/messages.h"
#include "engine/scratch.h"
#include "engine/tokenizer.h"
#include "engine/utf8.h"

namespace warpwright {
namespace {

using nlohmann::json;

json shipped_family(const char* name) {
    return json::parse(read_all(std::string(WW_SOURCE_DIR) + "/tests/tokenizer/families/" + name + ".json"));
}

// The error of reading the file. The time is that of the slowest machine and a sanitizer.
std::string error_of_text(const std::string& text) {
    const auto start = std::chrono::steady_clock::now();
    const auto tokenizer = Tokenizer::parse(text, "dir/tokenizer.json");
    EXPECT_FALSE(tokenizer.ok());
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
    if (tokenizer.ok()) return {};
    EXPECT_EQ(tokenizer.status().kind(), ErrorKind::caller);
    const std::string message = tokenizer.status().message();
    EXPECT_TRUE(message.starts_with("dir/tokenizer.json: ")) << message;
    EXPECT_LT(message.size(), 500u);
    return message;
}

std::string error_of(const char* family, const std::function<void(json&)>& change) {
    json file = shipped_family(family);
    change(file);
    return error_of_text(file.dump());
}

TEST(BadTokenizer, WithoutParts) {
    EXPECT_TRUE(contains(error_of("llama3", [](json& f) { f["model"].erase("merges"); }),
                         "model: 'merges' is missing; expected an array"));
    EXPECT_TRUE(contains(error_of("llama2", [](json& f) { f["model"].erase("vocab"); }),
                         "model: 'vocab' is missing; expected an object"));
    EXPECT_TRUE(contains(error_of("llama2", [](json& f) { f.erase("model"); }), "'model' is missing"));
    EXPECT_TRUE(contains(error_of("llama2", [](json& f) { f.erase("decoder"); }), "'decoder' is missing"));
    EXPECT_TRUE(contains(error_of_text("[]"), "expected an object, got an array of 0"));
    EXPECT_TRUE(contains(error_of_text(""), "not JSON at byte 1 of 0"));
    EXPECT_TRUE(contains(error_of_text("{\"model\": {"), "not JSON at byte"));
}

// A merge makes a token of its parts' text, which is longer than both: a cycle has no spelling.
TEST(BadTokenizer, MergesInCycles) {
    const auto with_merges = [](const json& merges) {
        return error_of("llama3", [&](json& f) {
            f["model"]["vocab"] = {{"a", 0}, {"b", 1}, {"ab", 2}};
            f["added_tokens"] = json::array();
            f["post_processor"] = nullptr;
            f["model"]["merges"] = merges;
        });
    };
    EXPECT_TRUE(contains(with_merges({"a b", "ab a"}), "merges: number 1: token 'aba' is not in the vocab"));
    EXPECT_TRUE(contains(with_merges({"ab ab"}), "merges: number 0: token 'abab' is not in the vocab"));
    EXPECT_TRUE(contains(with_merges({"a c"}), "merges: number 0: token 'c' is not in the vocab"));
    EXPECT_TRUE(contains(with_merges({"a b c"}), "merges: number 0: expected 'a b' or a pair"));
    EXPECT_TRUE(
        contains(with_merges({json::array({"a", "b", "c"})}), "merges: number 0: expected 'a b' or a pair"));
    EXPECT_TRUE(contains(with_merges({""}), "merges: number 0: expected 'a b' or a pair of strings, got ''"));
}

// The empty token merges with anything into the same thing again; it ends all the same.
TEST(BadTokenizer, MergesOfNothingEnd) {
    json file = shipped_family("llama2");
    file["model"]["vocab"][""] = file["model"]["vocab"].size();
    file["model"]["merges"] = json::array({json::array({"", "a"}), json::array({"a", ""})});
    const auto tokenizer = Tokenizer::parse(file.dump(), "t");
    if (tokenizer.ok()) {
        EXPECT_TRUE(tokenizer->encode("aaaa a").ok());
    }
}

TEST(BadTokenizer, DuplicateAndFarIds) {
    EXPECT_TRUE(contains(error_of("llama3", [](json& f) { f["model"]["vocab"]["zz"] = 5; }),
                         "model: vocab: id 5 is '"));
    EXPECT_TRUE(contains(error_of("llama3", [](json& f) { f["model"]["vocab"]["zz"] = 1 << 21; }),
                         "vocab: 'zz': expected an id from 0 to 2097151, got 2097152"));
    EXPECT_TRUE(contains(error_of("llama3", [](json& f) { f["model"]["vocab"]["zz"] = 1e30; }), "got 1e+30"));
    EXPECT_TRUE(
        contains(error_of("llama3", [](json& f) { f["model"]["vocab"]["zz"] = nullptr; }), "got null"));
    EXPECT_TRUE(
        contains(error_of("llama3", [](json& f) { f["added_tokens"].push_back(f["added_tokens"][0]); }),
                 "added_tokens: id 1100 is '<|begin_of_text|>' and '<|begin_of_text|>'"));
    EXPECT_TRUE(contains(error_of("llama3",
                                  [](json& f) {
                                      f["added_tokens"].push_back(f["added_tokens"][0]);
                                      f["added_tokens"].back()["id"] = 5000;
                                  }),
                         "added_tokens: '<|begin_of_text|>' occurs twice"));
    EXPECT_TRUE(contains(error_of("llama2", [](json& f) { f["added_tokens"][0]["id"] = 5000; }),
                         "added_tokens: '<unk>': expected its id in the vocab, 0, got 5000"));
    EXPECT_TRUE(contains(error_of("llama2", [](json& f) { f["added_tokens"][0]["id"] = -1; }),
                         "added_tokens: number 0: 'id': expected an integer from 0 to 2097151, got -1"));
}

TEST(BadTokenizer, AMillionAddedTokens) {
    std::string added = "[";
    for (int i = 0; i < 1'000'000; ++i) {
        added += (i ? ",{\"id\":" : "{\"id\":") + std::to_string(i) + ",\"content\":\"t" + std::to_string(i) +
                 "\"}";
    }
    std::string text = shipped_family("gpt2").dump();
    const std::size_t at = text.find("\"added_tokens\":[");
    ASSERT_NE(at, text.npos);
    const std::size_t end = text.find(']', at);
    text.replace(at + 15, end - at - 15, added);
    EXPECT_TRUE(contains(error_of_text(text), "added_tokens: expected at most 131072 tokens, got 1000000"));
}

// As many as are allowed, which all begin alike, are looked for in linear time.
TEST(BadTokenizer, ManyAddedTokensAreFast) {
    json file = shipped_family("gpt2");
    for (int i = 0; i < 100000; ++i) {
        file["added_tokens"].push_back({{"id", 2000 + i}, {"content", "<extra_" + std::to_string(i) + ">"}});
    }
    const auto tokenizer = Tokenizer::parse(file.dump(), "t");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    std::string text;
    for (int i = 0; i < 100000; ++i) text += "<extra_<extra_77777>";
    const auto start = std::chrono::steady_clock::now();
    const auto ids = tokenizer->encode(text);
    ASSERT_TRUE(ids.ok());
    EXPECT_EQ(std::count(ids->begin(), ids->end(), 2000 + 77777), 100000);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST(BadTokenizer, TooLarge) {
    Scratch scratch;
    const auto file = scratch.write("tokenizer.json", "{");
    std::filesystem::resize_file(file, 100 << 20);  // a hole
    const auto tokenizer = Tokenizer::load(scratch.folder());
    EXPECT_TRUE(contains(tokenizer.status().message(),
                         "tokenizer.json: expected at most 67108864 bytes, got 104857600"));
    const std::string long_token(17 << 20, 'x');
    EXPECT_TRUE(contains(error_of("gpt2", [&](json& f) { f["added_tokens"][0]["content"] = long_token; }),
                         "added_tokens: expected contents of at most 16777216 bytes together"));
}

TEST(BadTokenizer, DeepNesting) {
    const std::string brackets(10'000'000, '[');  // NOLINT(bugprone-string-constructor): it is meant
    EXPECT_TRUE(contains(error_of_text(brackets), "nested more than 64 deep at byte 64"));
    std::string objects;
    for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
    EXPECT_TRUE(contains(error_of_text(objects), "nested more than 64 deep at byte 320"));
    const auto nest = [](json value, const char* list) {
        for (int i = 0; i < 12; ++i) value = {{"type", "Sequence"}, {list, json::array({value})}};
        return value;
    };
    EXPECT_TRUE(
        contains(error_of("llama2", [&](json& f) { f["normalizer"] = nest(f["normalizer"], "normalizers"); }),
                 "normalizer: expected at most 8 nested Sequences"));
    EXPECT_TRUE(contains(
        error_of("llama3", [&](json& f) { f["pre_tokenizer"] = nest(f["pre_tokenizer"], "pretokenizers"); }),
        "pre_tokenizer: expected at most 8 nested Sequences"));
    EXPECT_TRUE(contains(error_of("llama2", [&](json& f) { f["decoder"] = nest(f["decoder"], "decoders"); }),
                         "decoder: expected at most 8 nested Sequences"));
    EXPECT_TRUE(contains(
        error_of("llama3", [&](json& f) { f["post_processor"] = nest(f["post_processor"], "processors"); }),
        "post_processor: expected at most 8 nested Sequences"));
    // Brackets in text are no nesting.
    json file = shipped_family("gpt2");
    file["model"]["note"] = std::string(1000, '[') + "\"\\";
    EXPECT_TRUE(Tokenizer::parse(file.dump(), "t").ok());
}

json with_pattern(const std::string& pattern) {
    json file = shipped_family("llama3");
    file["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", pattern}};
    return file;
}

TEST(BadTokenizer, Patterns) {
    EXPECT_TRUE(contains(error_of_text(with_pattern("(a").dump()),
                         "pre_tokenizer: Split: regex '(a': missing closing"));
    EXPECT_TRUE(contains(error_of_text(with_pattern("[z-a]").dump()),
                         "pre_tokenizer: Split: regex '[z-a]': range out"));
    EXPECT_TRUE(
        contains(error_of_text(with_pattern("\\p{Nope}").dump()), "\\p{Nope} at byte 0 is not supported"));
    EXPECT_TRUE(contains(error_of_text(with_pattern(std::string(100'000, '(')).dump()),
                         "expected at most 65536 bytes"));
    EXPECT_TRUE(contains(error_of_text(with_pattern(std::string(60'000, '(')).dump()),
                         "pre_tokenizer: Split: regex"));
    EXPECT_TRUE(contains(
        error_of("llama2", [](json& f) { f["normalizer"]["normalizers"][1]["pattern"]["String"] = ""; }),
        "normalizer: Replace: pattern: expected a pattern, got ''"));
    EXPECT_TRUE(contains(
        error_of("llama2",
                 [](json& f) { f["normalizer"]["normalizers"][1]["content"] = std::string(65, 'x'); }),
        "normalizer: Replace: expected a content of at most 64 bytes, got 65"));
}

// Patterns that backtrack without end are stopped, whichever way they do it.
TEST(BadTokenizer, CatastrophicPatterns) {
    const std::string text = std::string(200'000, 'a') + "!b";
    for (const char* pattern :
         {"(a+)+b", "(a|a)*b", "(a*)*b", "a*a*a*a*b", "(?:a?){40}a{40}b", "(.*)(.*)(.*)(.*)b"}) {
        SCOPED_TRACE(pattern);
        const auto tokenizer = Tokenizer::parse(with_pattern(pattern).dump(), "t");
        ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
        const std::clock_t start = std::clock();
        const auto ids = tokenizer->encode(text);
        if (!ids.ok()) {
            EXPECT_TRUE(contains(ids.status().message(), "regex: ")) << ids.status().message();
        }
        EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 3);
    }
    const auto tokenizer = Tokenizer::parse(with_pattern("(a+)+b").dump(), "t");
    EXPECT_TRUE(
        contains(tokenizer->encode(text).status().message(), "match limit exceeded, at byte 0 of 200002"));
}

// Steps that double a text each are stopped before memory is.
TEST(BadTokenizer, GrowingNormalizer) {
    json file = shipped_family("llama2");
    file["normalizer"] = {{"type", "Sequence"}, {"normalizers", json::array()}};
    for (int i = 0; i < 40; ++i) {
        file["normalizer"]["normalizers"].push_back(
            {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}});
    }
    const auto tokenizer = Tokenizer::parse(file.dump(), "t");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    EXPECT_TRUE(contains(tokenizer->encode(std::string(1000, 'a')).status().message(),
                         "normalizer: expected at most 64 times the text's 1000 bytes, got 128000"));
    EXPECT_TRUE(contains(error_of("llama2", [](json& f) { f["decoder"]["decoders"][0]["content"] = "four"; }),
                         "decoder: Replace: expected a content no longer than the pattern, got 4 bytes"));
}

}  // namespace
}  // namespace warpwright
