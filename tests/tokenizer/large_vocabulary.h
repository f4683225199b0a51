// SPDX-License-Identifier: Apache-2.0
// Tokenizers with as many tokens as those of large models, made here because those files are theirs: the
// components and first merges of a small family's, then the prefixes of a text's words, the frequent ones
// first, as training would find them; then merges of random tokens up to the size.
#pragma once

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/utf8.h"

namespace warpwright {

class LargeVocabulary {
public:
    LargeVocabulary(nlohmann::json family, std::size_t num_tokens, const std::string& text)
        : file_(std::move(family)), is_bytes_(file_["decoder"]["type"] == "ByteLevel") {
        for (const auto& [token, id] : file_["model"]["vocab"].items()) add(token);
        for (const nlohmann::json& merge : file_["model"]["merges"]) {
            if (merge.is_array()) {
                merges_.emplace_back(merge[0], merge[1]);
            } else {
                const auto both = merge.get<std::string>();
                merges_.emplace_back(both.substr(0, both.find(' ')), both.substr(both.find(' ') + 1));
            }
        }
        add_words(text, num_tokens / 2);
        add_random(num_tokens);
    }

    std::string dump() {
        nlohmann::json vocab = nlohmann::json::object();
        for (const auto& [token, number] : numbers_) vocab[token] = number;
        // Added tokens that the family has beyond its vocabulary go behind the new one.
        int next = static_cast<int>(numbers_.size());
        for (nlohmann::json& token : file_["added_tokens"]) {
            const auto found = numbers_.find(token["content"].get<std::string>());
            token["id"] = found == numbers_.end() ? next++ : found->second;
        }
        file_["post_processor"] = nullptr;
        file_["model"]["vocab"] = std::move(vocab);
        file_["model"]["merges"] = nlohmann::json::array();
        for (const auto& [left, right] : merges_) file_["model"]["merges"].push_back({left, right});
        return file_.dump();
    }

private:
    bool add(const std::string& token) {
        if (!numbers_.emplace(token, static_cast<int>(numbers_.size())).second) return false;
        tokens_.push_back(token);
        return true;
    }
    void merge(const std::string& left, const std::string& right) {
        if (add(left + right)) merges_.emplace_back(left, right);
    }

    // Words of a text with the space before them, by how often they are there.
    void add_words(const std::string& text, std::size_t num_tokens) {
        const std::string space = is_bytes_ ? "\u0120" : "\u2581";
        std::map<std::string, int> counts;
        std::string word = space;
        for (const char c : text) {
            if (c >= 'A' && c <= 'z') {
                word += c;
                continue;
            }
            ++counts[word];
            word = space;
        }
        std::vector<std::pair<int, std::string>> words;
        for (const auto& [spelled, count] : counts) words.emplace_back(-count, spelled);
        std::sort(words.begin(), words.end());
        for (const auto& [count, spelled] : words) {
            std::string prefix;
            for (std::size_t at = 0; at < spelled.size() && numbers_.size() < num_tokens;) {
                const std::size_t length = first_character(std::string_view(spelled).substr(at)).length;
                const std::string character = spelled.substr(at, length);
                add(character);
                if (!prefix.empty()) merge(prefix, character);
                prefix += character;
                at += length;
            }
        }
    }

    void add_random(std::size_t num_tokens) {
        std::mt19937 random(3);
        while (numbers_.size() < num_tokens) {
            const std::string& left = tokens_[random() % tokens_.size()];
            const std::string& right = tokens_[random() % tokens_.size()];
            const bool plain = left[0] != '<' && right[0] != '<' && right[0] != '\xE2' && right[0] != '\xC4';
            if (plain && left.size() + right.size() < 20) merge(std::string(left), std::string(right));
        }
    }

    nlohmann::json file_;
    bool is_bytes_;
    std::unordered_map<std::string, int> numbers_;
    std::vector<std::string> tokens_;
    std::vector<std::pair<std::string, std::string>> merges_;
};

}  // namespace warpwright
