// SPDX-License-Identifier: Apache-2.0
// Token ids equal those of Hugging Face's `tokenizers`, for the shipped tokenizer and for variants of it that
// exercise one component each. make_tokenizer_goldens.py made the file.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/scratch.h"
#include "engine/tokenizer.h"

namespace warpwright {
namespace {

using nlohmann::json;

const std::filesystem::path kRoot = WW_SOURCE_DIR;

TEST(TokenizerGoldens, EveryVariant) {
    const std::string shipped = read_all(kRoot / "models/glossary/tokenizer.json");
    ASSERT_FALSE(shipped.empty()) << "models/glossary/tokenizer.json is not there";
    const json base = json::parse(shipped);
    const json goldens = json::parse(read_all(kRoot / "tests/engine/tokenizer_goldens.json"));
    int num_cases = 0;
    for (const json& variant : goldens["variants"]) {
        const std::string name = variant["name"];
        SCOPED_TRACE(name);
        auto tokenizer = Tokenizer::parse(base.patch(variant["patch"]).dump(), name);
        ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
        for (const json& golden : variant["cases"]) {
            const std::string text = golden[0];
            const std::vector<i32> expected = golden[1];
            const std::string decoded = golden.size() > 3 ? golden[3] : golden[0];
            auto ids = tokenizer->encode(text);
            ASSERT_TRUE(ids.ok()) << ids.status().message();
            EXPECT_EQ(*ids, expected) << golden[0].dump();
            EXPECT_EQ(tokenizer->decode(expected), decoded) << golden[0].dump();
            auto plain = tokenizer->encode(text, false);
            ASSERT_TRUE(plain.ok()) << plain.status().message();
            EXPECT_EQ(expected.size() - plain->size(), golden[2].get<std::size_t>()) << golden[0].dump();
            ++num_cases;
        }
    }
    EXPECT_GT(num_cases, 1500);
}

}  // namespace
}  // namespace warpwright
