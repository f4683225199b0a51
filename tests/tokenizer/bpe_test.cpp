// SPDX-License-Identifier: Apache-2.0
// Words of any length through random vocabularies, against the definition: the pair of the lowest rank, the
// leftmost of equals, until none merges.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/tokenizer.h"
#include "engine/utf8.h"

namespace warpwright {
namespace {

using nlohmann::json;

// Characters, one of which spells a space; a token beside them for every merge.
struct Vocabulary {
    std::vector<std::string> characters{"a", "b", "c", "\u00e9", "\u4e2d", "\u2581"};
    std::map<std::string, i32> ids;
    std::vector<std::pair<std::string, std::string>> merges;

    Vocabulary(std::mt19937& random, int num_merges, bool in_order) {
        std::vector<std::string> tokens;
        for (const std::string& character : characters) {
            ids.emplace(character, static_cast<i32>(ids.size()));
            tokens.push_back(character);
        }
        for (int i = 0; i < num_merges; ++i) {
            const std::string left = tokens[random() % tokens.size()],
                              right = tokens[random() % tokens.size()];
            if (left.size() + right.size() > 20 ||
                !ids.emplace(left + right, static_cast<i32>(ids.size())).second)
                continue;
            tokens.push_back(left + right);
            merges.emplace_back(left, right);
        }
        // A file may have them in any order, also before those that make their parts.
        if (!in_order) std::shuffle(merges.begin(), merges.end(), random);
    }

    Tokenizer tokenizer(bool ignore_merges) const {
        json file = {{"added_tokens", json::array()},
                     {"normalizer", nullptr},
                     {"pre_tokenizer", nullptr},
                     {"post_processor", nullptr},
                     {"decoder", {{"type", "Fuse"}}},
                     {"model", {{"type", "BPE"}, {"ignore_merges", ignore_merges}, {"vocab", ids}}}};
        file["model"]["merges"] = json::array();
        for (const auto& [left, right] : merges) file["model"]["merges"].push_back({left, right});
        auto parsed = Tokenizer::parse(file.dump(), "file");
        EXPECT_TRUE(parsed.ok()) << parsed.status().message();
        return std::move(*parsed);
    }

    std::vector<i32> by_definition(const std::string& text) const {
        std::map<std::pair<std::string, std::string>, std::size_t> ranks;
        for (std::size_t i = 0; i < merges.size(); ++i) ranks.emplace(merges[i], i);
        std::vector<std::string> parts;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t length = first_character(std::string_view(text).substr(at)).length;
            parts.push_back(text.substr(at, length));
            at += length;
        }
        while (true) {
            std::size_t best = merges.size(), where = 0;
            for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
                const auto found = ranks.find({parts[i], parts[i + 1]});
                if (found == ranks.end() || found->second >= best) continue;
                best = found->second;
                where = i;
            }
            if (best == merges.size()) break;
            parts[where] += parts[where + 1];
            parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(where) + 1);
        }
        std::vector<i32> out;
        for (const std::string& part : parts) out.push_back(ids.at(part));
        return out;
    }
};

TEST(Bpe, EqualToTheDefinition) {
    std::mt19937 random(9);
    for (int round = 0; round < 150; ++round) {
        const Vocabulary vocabulary(random, 1 + static_cast<int>(random() % 60), round % 2 == 0);
        const Tokenizer tokenizer = vocabulary.tokenizer(false);
        for (const int length : {1, 2, 3, 7, 15, 30, 47, 48, 49, 50, 80, 200, 400}) {
            std::string text;
            // Few characters side by side, or all; now and then runs.
            const std::size_t num = 1 + random() % vocabulary.characters.size();
            for (int i = 0; i < length; ++i) {
                const std::string& character = vocabulary.characters[random() % num];
                for (u32 times = random() % 8 == 0 ? random() % 12 : 1; times > 0; --times) text += character;
            }
            const auto ids = tokenizer.encode(text);
            ASSERT_TRUE(ids.ok()) << ids.status().message();
            ASSERT_EQ(*ids, vocabulary.by_definition(text))
                << json(text).dump() << ", " << json(vocabulary.merges).dump();
            ASSERT_EQ(*tokenizer.encode(text), *ids) << "a word that is remembered";
        }
    }
}

// A word that is a token is that token; others are merged.
TEST(Bpe, WordsThatAreTokens) {
    std::mt19937 random(10);
    const Vocabulary vocabulary(random, 60, false);
    const Tokenizer tokenizer = vocabulary.tokenizer(true);
    for (const auto& [token, id] : vocabulary.ids) EXPECT_EQ(*tokenizer.encode(token), std::vector<i32>{id});
    const std::string text = "abc\u00e9\u4e2dabcabc";
    EXPECT_EQ(*tokenizer.encode(text), vocabulary.by_definition(text));
}

}  // namespace
}  // namespace warpwright
