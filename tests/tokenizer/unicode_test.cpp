// SPDX-License-Identifier: Apache-2.0
// Every code point, through every normalization form and the classes of patterns, as in Hugging Face's
// `tokenizers`; and the splitter by hand against the patterns that it stands for.
#include <gtest/gtest.h>

#include <random>

#include "engine/normalizer.h"
#include "engine/pretokenizer.h"
#include "engine/splitter.h"
#include "engine/unicode_ranges.h"
#include "tokenizer/cases.h"
#include "tokenizer/crc32.h"

namespace warpwright {
namespace {

using nlohmann::json;

json goldens() {
    return json::parse(read_all(std::string(WW_SOURCE_DIR) + "/tests/tokenizer/unicode.json"));
}

std::vector<std::string> all_characters() {
    std::vector<std::string> all;
    for (u32 point = 0; point < 0x110000; ++point) {
        if (point >= 0xD800 && point <= 0xDFFF) continue;
        append_utf8(all.emplace_back(), point);
    }
    return all;
}

TEST(Unicode, NormalizationOfEveryCodePoint) {
    const std::vector<std::string> all = all_characters();
    const json forms = goldens().at("forms");
    ASSERT_EQ(forms.size(), 4u);
    for (const auto& [name, expected] : forms.items()) {
        const UnicodeForm form = name == "NFC"    ? UnicodeForm::nfc
                                 : name == "NFD"  ? UnicodeForm::nfd
                                 : name == "NFKC" ? UnicodeForm::nfkc
                                                  : UnicodeForm::nfkd;
        u32 crc = 0;
        for (const std::string& character : all) {
            crc = crc32(normalize_unicode(character, form) + '\0', crc);
            crc = crc32(normalize_unicode("e\u0301" + character + "\u0316\u0300", form) + '\0', crc);
        }
        EXPECT_EQ(crc, expected.get<u32>()) << name;
    }
}

TEST(Unicode, PatternsOnEveryCodePoint) {
    std::string text;
    for (const std::string& character : all_characters()) text += character;
    const json patterns = goldens().at("patterns");
    EXPECT_GE(patterns.size(), 20u);
    for (const auto& [pattern, expected] : patterns.items()) {
        const json split = {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Removed"}};
        const json punctuation = {{"type", "Punctuation"}, {"behavior", "Removed"}};
        const auto steps = PreTokenizer::parse(pattern == "Punctuation" ? punctuation : split, "t");
        ASSERT_TRUE(steps.ok()) << steps.status().message();
        std::deque<std::string> storage;
        const auto rest = steps->words(text, true, storage);
        ASSERT_TRUE(rest.ok()) << rest.status().message();
        std::string matched(text.size(), '1');  // by byte; of each character the first counts
        for (const std::string_view word : *rest) {
            std::fill_n(matched.begin() + (word.data() - text.data()), word.size(), '0');
        }
        std::string by_character;
        for (std::size_t at = 0; at < text.size(); ++at) {
            if ((static_cast<u8>(text[at]) & 0xC0) != 0x80) by_character += matched[at];
        }
        EXPECT_EQ(crc32(by_character), expected.get<u32>()) << pattern;
    }
}

// A run of marks is put in order in n log n, and compositions across it are found.
TEST(Unicode, LongRunsOfMarks) {
    std::string marks = "a";
    for (int i = 0; i < 100000; ++i) marks += "\u0301\u0316";
    const std::string normal = normalize_unicode(marks, UnicodeForm::nfc);
    EXPECT_TRUE(normal.starts_with("\u00e1\u0316\u0316"));
    EXPECT_TRUE(normal.ends_with("\u0301\u0301"));
    EXPECT_EQ(normalize_unicode(normal, UnicodeForm::nfc), normal);
}

// The table that the splitter is built on, and the classes of PCRE2 with what they lack, for every code
// point.
TEST(Unicode, GeneralCategories) {
    std::string all;
    std::vector<u32> points;  // by byte position
    for (u32 point = 0; point < 0x110000; ++point) {
        if (point >= 0xD800 && point <= 0xDFFF) continue;
        append_utf8(all, point);
        points.resize(all.size(), point);
    }
    for (const std::string category : {"Lu", "Ll", "Lt", "Lm", "Lo", "L", "M", "N"}) {
        const Regex regex = *Regex::compile("\\p{" + category + "}+");
        std::vector<bool> is_in(0x110000);
        const auto matches = regex.find_all(all);
        ASSERT_TRUE(matches.ok());
        for (const Regex::Match& match : *matches) {
            for (std::size_t at = match.begin; at < match.end; ++at) is_in[points[at]] = true;
        }
        for (u32 point = 0; point < 0x110000; ++point) {
            const GeneralCategory found = general_category(point);
            const bool same =
                found.major == category[0] && (category.size() == 1 || found.minor == category[1]);
            ASSERT_EQ(same, is_in[point]) << category << " " << std::hex << point;
        }
    }
}

const std::string kTail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kHead = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})";

// As tokenizer.json files have it.
std::string cased_pattern(const std::string& suffix, const std::string& number) {
    const std::string front = R"([^\r\n\p{L}\p{N}]?)", upper = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])",
                      small = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])";
    return front + upper + "*" + small + "+" + suffix + "|" + front + upper + "+" + small + "*" + suffix +
           "|" + number + R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}

std::vector<std::string> split_patterns() {
    return {kGpt2Pattern, kHead + "{1,3}" + kTail, kHead + kTail, cased_pattern("", R"(\p{N})"),
            cased_pattern("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", R"(\p{N}{1,3})")};
}

void expect_words_of(const Regex& regex, const Splitter& splitter, const std::string& text) {
    const auto matches = *regex.find_all(text);
    std::size_t at = 0;
    for (const Regex::Match& match : matches) {
        ASSERT_EQ(match.begin, at) << json(text).dump();
        ASSERT_EQ(splitter.end_of_word(text, at), match.end) << json(text).dump() << " at " << at;
        at = match.end;
    }
    ASSERT_EQ(at, text.size());
}

TEST(Splitter, EqualToItsPattern) {
    const Cases cases;
    for (const std::string& pattern : split_patterns()) {
        const auto splitter = Splitter::of_pattern(pattern);
        ASSERT_TRUE(splitter) << pattern;
        const Regex regex = *Regex::compile(pattern);
        for (u64 number = 0; number < 40000; ++number) {
            std::string text;
            append_lossy(text, cases.text(number), true);
            expect_words_of(regex, *splitter, text);
            if (HasFatalFailure()) return;
        }
    }
    EXPECT_FALSE(Splitter::of_pattern(kHead + "{1,2}" + kTail));
    EXPECT_FALSE(Splitter::of_pattern(cased_pattern("", R"(\p{N}{1,2})")));
}

// Every sequence of five characters, one for each class and each character that a pattern names.
TEST(Splitter, EqualToItsPatternOnEveryShortText) {
    const std::string_view characters[] = {"A",  "b",  "\u4e2d", "\u0301", "7", " ",
                                           "\t", "\n", "/",      "'",      "s", "!"};
    constexpr std::size_t kNum = std::size(characters), kLength = 5;
    for (const std::string& pattern : split_patterns()) {
        const auto splitter = Splitter::of_pattern(pattern);
        const Regex regex = *Regex::compile(pattern);
        std::size_t total = 1;
        for (std::size_t i = 0; i < kLength; ++i) total *= kNum;
        // Many in one text, which takes PCRE2 a fraction of the time; each begins behind the end of a line.
        std::string text;
        for (std::size_t number = 0; number < total; ++number) {
            text += '\n';
            for (std::size_t i = 0, rest = number; i < kLength; ++i, rest /= kNum)
                text += characters[rest % kNum];
            if (text.size() < 1 << 16 && number + 1 < total) continue;
            expect_words_of(regex, *splitter, text);
            if (HasFatalFailure()) return;
            text.clear();
        }
    }
}

// Characters of every class in any order.
TEST(Splitter, EqualToItsPatternOnRandomCharacters) {
    std::mt19937 random(11);
    for (const std::string& pattern : split_patterns()) {
        const auto splitter = Splitter::of_pattern(pattern);
        const Regex regex = *Regex::compile(pattern);
        for (int round = 0; round < 3000; ++round) {
            std::string text;
            for (int i = 0; i < 40; ++i) {
                const u32 limits[] = {0x80, 0x250, 0x3000, 0x11000, 0x20000, 0x110000};
                const u32 point = random() % limits[random() % 6];
                append_utf8(text, point >= 0xD800 && point <= 0xDFFF ? 0x20 : point);
            }
            expect_words_of(regex, *splitter, text);
            if (HasFatalFailure()) return;
        }
    }
}

}  // namespace
}  // namespace warpwright
