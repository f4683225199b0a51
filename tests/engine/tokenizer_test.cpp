// SPDX-License-Identifier: Apache-2.0
// A byte-level tokenizer made here (256 bytes, a few merges) shows each rule and each refusal; equality with
// the field's implementation is in tokenizer_goldens_test.cpp.
#include "engine/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/messages.h"
#include "engine/scratch.h"
#include "engine/utf8.h"

namespace warpwright {
namespace {

using nlohmann::json;

// Ids 0..255 are the bytes, then "he", "ll", "hell", "hello", " hello", and an added token.
json small() {
    json vocab = json::object();
    int next = 256;
    for (int b = 0; b < 256; ++b) {
        const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        std::string spelling;
        append_utf8(spelling, static_cast<u32>(printable ? b : next++));
        vocab[spelling] = b;
    }
    for (const char* token : {"he", "ll", "hell", "hello", "\u0120hello"}) vocab[token] = vocab.size();
    return {
        {"added_tokens", {{{"id", 261}, {"content", "<s>"}, {"special", true}}}},
        {"normalizer", nullptr},
        {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
        {"post_processor",
         {{"type", "TemplateProcessing"},
          {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
          {"special_tokens", {{"<s>", {{"ids", {261}}}}}}}},
        {"decoder", {{"type", "ByteLevel"}}},
        {"model",
         {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"h e", "l l", "he ll", "hell o", "\u0120 hello"}}}}};
}

std::string error_of(const json& tokenizer) {
    auto result = Tokenizer::parse(tokenizer.dump(), "t.json");
    EXPECT_FALSE(result.ok());
    EXPECT_EQ(result.status().kind(), ErrorKind::caller);
    return result.status().message();
}

json with(const char* pointer, const json& value) {
    json tokenizer = small();
    tokenizer[json::json_pointer(pointer)] = value;
    return tokenizer;
}

Tokenizer make(const json& tokenizer) {
    auto result = Tokenizer::parse(tokenizer.dump(), "t.json");
    EXPECT_TRUE(result.ok()) << result.status().message();
    return std::move(result).value();
}

std::vector<i32> ids_of(const Tokenizer& tokenizer, std::string_view text) {
    auto ids = tokenizer.encode(text, false);
    EXPECT_TRUE(ids.ok()) << ids.status().message();
    return ids.value();
}

TEST(Tokenizer, MergesByRank) {
    const Tokenizer tokenizer = make(small());
    EXPECT_EQ(tokenizer.vocab_size(), 262);
    EXPECT_EQ(ids_of(tokenizer, "hello"), std::vector<i32>{259});
    EXPECT_EQ(ids_of(tokenizer, " hello"), std::vector<i32>{260});
    EXPECT_EQ(ids_of(tokenizer, "hell"), std::vector<i32>{258});
    EXPECT_EQ(ids_of(tokenizer, "lll"), (std::vector<i32>{257, 'l'}));
    EXPECT_EQ(ids_of(tokenizer, "\u00e9"), (std::vector<i32>{0xC3, 0xA9}));
    EXPECT_EQ(*tokenizer.encode("hello"), (std::vector<i32>{261, 259}));
    EXPECT_EQ(*tokenizer.encode(""), std::vector<i32>{261});
    EXPECT_EQ(ids_of(tokenizer, "<s>hello<s>"), (std::vector<i32>{261, 259, 261}));
    EXPECT_EQ(tokenizer.find("<s>"), 261);
    EXPECT_EQ(tokenizer.find("\u0120hello"), 260);
    EXPECT_EQ(tokenizer.find("no"), std::nullopt);
    EXPECT_EQ(tokenizer.bytes_of(260), " hello");
    EXPECT_EQ(tokenizer.bytes_of(-1), "");
    EXPECT_EQ(tokenizer.bytes_of(262), "");
}

TEST(Tokenizer, MergesAsPairsAndWholeWords) {
    json pairs = with("/model/merges", json::array({json::array({"h", "e"}), json::array({"l", "l"})}));
    EXPECT_EQ(ids_of(make(pairs), "hello"), (std::vector<i32>{256, 257, 'o'}));
    pairs["model"]["ignore_merges"] = true;
    EXPECT_EQ(ids_of(make(pairs), "hello"), std::vector<i32>{259});
}

TEST(Tokenizer, DecodesBrokenSequences) {
    const Tokenizer tokenizer = make(small());
    EXPECT_EQ(tokenizer.decode(std::vector<i32>{261, 259, 260}), "hello hello");
    EXPECT_EQ(tokenizer.decode(std::vector<i32>{261, 259}, false), "<s>hello");
    EXPECT_EQ(tokenizer.decode(std::vector<i32>{0xC3}), "\ufffd");
    EXPECT_EQ(tokenizer.decode(std::vector<i32>{0xF0, 0x9F, 'a'}), "\ufffda");
    EXPECT_EQ(tokenizer.decode(std::vector<i32>{0xED, 0xA0, 0x80}), "\ufffd\ufffd\ufffd");
    EXPECT_EQ(tokenizer.decode(std::vector<i32>{'a', -5, 9999, 'b'}), "ab");
}

TEST(Tokenizer, StreamHandsOutWholeCharacters) {
    const Tokenizer tokenizer = make(small());
    TokenStream stream(tokenizer);
    EXPECT_EQ(stream.push(261), "");
    EXPECT_EQ(stream.push(0xF0), "");
    EXPECT_EQ(stream.push(0x9F), "");
    EXPECT_EQ(stream.push(0x98), "");
    EXPECT_EQ(stream.push(0x80), "\U0001f600");
    EXPECT_EQ(stream.push(0xC3), "");
    EXPECT_EQ(stream.push('a'), "\ufffda");
    EXPECT_EQ(stream.push(0xE4), "");
    EXPECT_EQ(stream.finish(), "\ufffd");
    EXPECT_EQ(stream.finish(), "");

    u32 state = 1;  // any ids: the parts add up to decode()
    for (int round = 0; round < 300; ++round) {
        std::vector<i32> ids;
        std::string parts;
        TokenStream parts_stream(tokenizer);
        for (int i = 0; i < 40; ++i) {
            state = state * 1664525 + 1013904223;
            ids.push_back(static_cast<i32>(round % 2 ? 0x80 + (state >> 24) % 128 : (state >> 16) % 262));
            parts += parts_stream.push(ids.back());
        }
        EXPECT_EQ(parts + parts_stream.finish(), tokenizer.decode(ids));
    }
}

TEST(Tokenizer, TextMustBeUtf8) {
    const Tokenizer tokenizer = make(small());
    EXPECT_EQ(tokenizer.encode("ab\xff").status().message(),
              "text: expected UTF-8, got byte 0xff at position 2");
    for (const char* bad : {"\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xf0\x9f\x98"}) {
        EXPECT_EQ(tokenizer.encode(bad).status().kind(), ErrorKind::caller);
    }
    EXPECT_TRUE(tokenizer.encode(std::string_view("\0\0", 2)).ok());
}

TEST(Tokenizer, RefusesByName) {
    EXPECT_TRUE(contains(error_of(with("/normalizer", {{"type", "BertNormalizer"}})),
                         "t.json: normalizer: unknown type 'BertNormalizer'; supported: Sequence, NFC,"));
    EXPECT_TRUE(ends_with(error_of(with("/model/type", "Unigram")),
                          "t.json: model: unknown type 'Unigram'; supported: BPE"));
    EXPECT_TRUE(contains(error_of(with("/pre_tokenizer/type", "UnicodeScripts")),
                         "pre_tokenizer: unknown type 'UnicodeScripts'"));
    EXPECT_TRUE(contains(error_of(with("/pre_tokenizer", {{"type", "Digits"}})),
                         "expected ByteLevel as pre_tokenizer and as decoder, got it as decoder only"));
    EXPECT_TRUE(contains(error_of(with("/post_processor/type", "BertProcessing")),
                         "post_processor: unknown type 'BertProcessing'"));
    EXPECT_TRUE(contains(error_of(with("/post_processor/single", json::array())),
                         "expected the text once, got it 0 times"));
    EXPECT_TRUE(contains(error_of(with("/post_processor/special_tokens", json::object())),
                         "expected the ids of '<s>'"));
    EXPECT_TRUE(contains(error_of(with("/post_processor/special_tokens/<s>/ids", {262})),
                         "expected ids below 262, got 262"));
    EXPECT_TRUE(contains(error_of(with("/decoder/type", "WordPiece")), "decoder: unknown type 'WordPiece'"));
    EXPECT_TRUE(contains(error_of(with("/decoder", nullptr)), "'decoder' is missing"));
    EXPECT_TRUE(contains(error_of(with("/model/end_of_word_suffix", "</w>")),
                         "'end_of_word_suffix' is not supported"));
    EXPECT_TRUE(contains(error_of(with("/model/dropout", 0.1)), "'dropout': expected none, got 0.1"));
    EXPECT_TRUE(contains(error_of(with("/model/vocab/he", -1)), "vocab: 'he': expected an id from 0 to"));
    EXPECT_TRUE(contains(error_of(with("/model/vocab/he", 4000000000u)), "got 4000000000"));
    EXPECT_TRUE(contains(error_of(with("/model/merges/0", "h")),
                         "merges: number 0: expected 'a b' or a pair of strings, got 'h'"));
    EXPECT_TRUE(contains(error_of(with("/model/merges/1", "x y")),
                         "merges: number 1: token 'xy' is not in the vocab"));
    EXPECT_TRUE(contains(error_of(with("/added_tokens/0/id", 3)), "added_tokens: id 3 is"));
    EXPECT_TRUE(contains(error_of(with("/added_tokens/0/content", nullptr)), "'content' is missing"));
    EXPECT_TRUE(contains(error_of(with("/added_tokens", 5)), "'added_tokens': expected an array, got 5"));
    const auto split = [](const json& pattern, const char* behavior) {
        return with("/pre_tokenizer", {{"type", "Split"}, {"pattern", pattern}, {"behavior", behavior}});
    };
    EXPECT_TRUE(contains(error_of(split({{"Regex", "("}}, "Isolated")),
                         "pre_tokenizer: Split: regex '(': missing closing parenthesis"));
    EXPECT_TRUE(
        contains(error_of(split({{"Regex", "\\p{N}{1,3}+"}}, "Isolated")), "'+' behind '}' at byte 10"));
    EXPECT_TRUE(contains(error_of(split({{"Regex", "[a[b]]"}}, "Isolated")), "a class in a class at byte 2"));
    EXPECT_TRUE(contains(error_of(split({{"Regex", "[[:punct:]]"}}, "Isolated")), "[:name:] at byte 1"));
    EXPECT_TRUE(contains(error_of(split({{"Regex", "\\h"}}, "Isolated")), "\\h at byte 0 is not"));
    EXPECT_TRUE(contains(error_of(split({{"Regex", "(?m:a.)"}}, "Isolated")), "the option m at byte 0"));
    EXPECT_TRUE(contains(error_of(split({{"Regex", "[a&&b]"}}, "Isolated")), "an intersection of classes"));
    EXPECT_TRUE(
        contains(error_of(split({{"Regex", "a"}}, "Sideways")), "Split: unknown behavior 'Sideways'"));
    EXPECT_TRUE(contains(error_of(split(json::object(), "Isolated")), "'Regex' is missing"));
    json behind =
        with("/pre_tokenizer",
             {{"type", "Sequence"}, {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "Digits"}}}}});
    EXPECT_TRUE(contains(error_of(behind), "expected ByteLevel to be the last step, got Digits behind it"));
    EXPECT_TRUE(
        contains(error_of(with("/model/unk_token", "<u>")), "'unk_token': '<u>' is not in the vocab"));
    json hole = with("/model/unk_token", "he");
    hole["model"]["vocab"].erase("~");
    EXPECT_TRUE(contains(error_of(hole), "expected all 256 bytes in a byte-level vocab"));
}

TEST(Regex, ReadsClassesAsOnigurumaDoes) {
    const auto num_matches = [](std::string_view pattern, std::string_view text) {
        return Regex::compile(pattern)->find_all(text)->size();
    };
    EXPECT_EQ(num_matches("\\s", "\u180e"), 0u) << "no White_Space since Unicode 6.3";
    EXPECT_EQ(num_matches("[\\s]", " \u0085\u2028\u3000"), 4u);
    EXPECT_EQ(num_matches("[\\w]", "a\u0301_\u203f1\u00b2"), 5u) << "marks and connectors, no superscripts";
    EXPECT_EQ(num_matches("\\w", "\u00b2\u2460\u00bd"), 2u) << "but those of Latin-1 outside of classes";
    EXPECT_EQ(num_matches("\\p{L}", "\ua7cb\u0c0e"), 2u) << "a letter of Unicode 16";
    EXPECT_EQ(num_matches("\\P{L}", "\ua7cb1"), 1u);
    EXPECT_EQ(num_matches("^x", "x\nx"), 2u) << "a line anchor";
    EXPECT_EQ(num_matches(Regex::escape("a.b*"), "a.b* axb"), 1u);
}

TEST(Tokenizer, MissingFile) {
    Scratch scratch;
    EXPECT_TRUE(
        ends_with(Tokenizer::load(scratch.folder()).status().message(), "tokenizer.json: no such file"));
    scratch.write("tokenizer.json", small().dump());
    EXPECT_TRUE(Tokenizer::load(scratch.folder()).ok());
}

TEST(Tokenizer, EveryPrefixAndManyFlippedBits) {
    const std::string good = small().dump();
    for (std::size_t size = 0; size < good.size(); size += 3) {
        EXPECT_FALSE(Tokenizer::parse(good.substr(0, size), "t").ok()) << size;
    }
    for (std::size_t bit = 0; bit < good.size() * 8; bit += 11) {
        std::string flipped = good;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        auto tokenizer = Tokenizer::parse(flipped, "t");
        if (tokenizer.ok()) {
            EXPECT_TRUE(tokenizer->encode("<s>hello \U0001f600").ok());
        }
    }
}

// One word of a megabyte, and runs that make a backtracking matcher work.
TEST(Tokenizer, LongInputsTakeLinearTime) {
    const Tokenizer tokenizer = make(small());
    const auto start = std::chrono::steady_clock::now();
    std::string mixed;
    for (int i = 0; i < 100000; ++i) mixed += "hello \t ";
    for (const std::string& text : {std::string(1 << 20, 'l'), std::string(1 << 20, ' ') + "x",
                                    std::string(1 << 20, '\n'), std::string(1 << 20, '!'), mixed}) {
        auto ids = tokenizer.encode(text);
        ASSERT_TRUE(ids.ok()) << ids.status().message();
        EXPECT_EQ(tokenizer.decode(*ids), text);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(Tokenizer, SeveralThreadsAtOnce) {
    const Tokenizer tokenizer = make(small());
    const std::string text = "hello hello, 123 shell \u4e16\u754c";
    const std::vector<i32> expected = ids_of(tokenizer, text);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 200; ++i) {
                ids_of(tokenizer, std::to_string(i * 4 + t) + "hell");
                EXPECT_EQ(ids_of(tokenizer, text), expected);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace warpwright
