// SPDX-License-Identifier: Apache-2.0
// Every code point, through every normalization form and the classes of patterns, as in Hugging Face's
// `tokenizers`; and the splitter by hand against the patterns that it stands for.
#include <gtest/gtest.h>

#include "engine/normalizer.h"
#include "engine/pretokenizer.h"
#include "engine/splitter.h"
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

TEST(Splitter, EqualToItsPattern) {
    const Cases cases;
    const std::string tail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    const std::string head = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})";
    for (const std::string& pattern : {std::string(kGpt2Pattern), head + "{1,3}" + tail, head + tail}) {
        const auto splitter = Splitter::of_pattern(pattern);
        ASSERT_TRUE(splitter) << pattern;
        const Regex regex = *Regex::compile(pattern);
        for (u64 number = 0; number < 40000; ++number) {
            std::string text;
            append_lossy(text, cases.text(number), true);
            const auto matches = *regex.find_all(text);
            std::size_t at = 0;
            for (const Regex::Match& match : matches) {
                ASSERT_EQ(match.begin, at) << json(text).dump();
                ASSERT_EQ(splitter->end_of_word(text, at), match.end) << json(text).dump() << " at " << at;
                at = match.end;
            }
            ASSERT_EQ(at, text.size());
        }
    }
    EXPECT_FALSE(Splitter::of_pattern(head + "{1,2}" + tail));
}

}  // namespace
}  // namespace warpwright
