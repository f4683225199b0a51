// SPDX-License-Identifier: Apache-2.0
// Token ids and decoded text equal those of Hugging Face's `tokenizers` on 20,000 texts (cases.h), for a
// small tokenizer with the components of each family's. make_families.py made the tokenizers and the
// checksums.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "engine/tokenizer.h"
#include "tokenizer/cases.h"
#include "tokenizer/crc32.h"

namespace warpwright {
namespace {

constexpr std::size_t kNumCases = 20000;
const std::filesystem::path kFamilies = std::filesystem::path(WW_SOURCE_DIR) / "tests/tokenizer/families";

std::string bytes_of(const std::vector<i32>& ids) {
    std::string bytes;
    for (const i32 id : ids) {
        for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(id >> shift);
    }
    return bytes;
}

std::string streamed(const Tokenizer& tokenizer, const std::vector<i32>& ids) {
    TokenStream stream(tokenizer, false);
    std::string text;
    for (const i32 id : ids) {
        text += stream.push(id);
        EXPECT_FALSE(find_invalid_utf8(text)) << "a part of a character was handed out";
    }
    return text + stream.finish();
}

class Families : public ::testing::TestWithParam<std::string> {};

TEST_P(Families, EqualToThePackageOnEveryCase) {
    static const Cases kCases;
    const auto file = kFamilies / (GetParam() + ".json");
    auto tokenizer = Tokenizer::load(file);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    const std::string digests = read_all(kFamilies / (GetParam() + ".digests"));
    ASSERT_EQ(digests.size(), kNumCases + 8);
    u64 total = 0xCBF29CE484222325u;
    std::size_t num_different = 0;
    std::size_t num_broken = 0;
    for (std::size_t number = 0; number < kNumCases; ++number) {
        const std::string raw = kCases.text(number);
        std::string text;
        append_lossy(text, raw, true);
        if (text != raw) {
            ++num_broken;
            EXPECT_FALSE(tokenizer->encode(raw).ok());
        }
        auto ids = tokenizer->encode(text);
        ASSERT_TRUE(ids.ok()) << number << ": " << ids.status().message();
        const std::vector<i32> strange = Cases::random_ids(number, tokenizer->vocab_size());
        const std::string all = tokenizer->decode(*ids, false);
        const std::string strange_text = tokenizer->decode(strange, false);
        std::string parts = bytes_of(*ids);
        for (const std::string& part : {tokenizer->decode(*ids), all, strange_text}) {
            parts += '\0';
            parts += part;
        }
        const u32 checksum = crc32(parts);
        total = (total ^ checksum) * 0x100000001B3u;
        if (static_cast<u8>(digests[number]) != static_cast<u8>(checksum) && ++num_different <= 10) {
            ADD_FAILURE() << "case " << number << ": " << nlohmann::json(text).dump() << " is "
                          << nlohmann::json(*ids).dump() << ", decoded " << nlohmann::json(all).dump() << "; "
                          << nlohmann::json(strange).dump() << " decoded "
                          << nlohmann::json(strange_text).dump();
        }
        ASSERT_EQ(streamed(*tokenizer, *ids), all) << number;
        ASSERT_EQ(streamed(*tokenizer, strange), strange_text) << number;
    }
    EXPECT_EQ(num_different, 0u);
    EXPECT_GT(num_broken, kNumCases / 20) << "cases of broken UTF-8";
    u64 expected = 0;
    for (int i = 7; i >= 0; --i) expected = expected << 8 | static_cast<u8>(digests[kNumCases + i]);
    EXPECT_EQ(total, expected) << "the checksum of all cases";
}

std::vector<std::string> family_names() {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(kFamilies)) {
        if (entry.path().extension() == ".json") names.insert(entry.path().stem().string());
    }
    return {names.begin(), names.end()};
}

INSTANTIATE_TEST_SUITE_P(All, Families, ::testing::ValuesIn(family_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace warpwright
