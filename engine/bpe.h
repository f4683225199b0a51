// SPDX-License-Identifier: Apache-2.0
// Byte-level byte-pair encoding: the vocabulary, the merges, and one word into token ids.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

// The bytes that a token of a byte-level vocabulary stands for. ByteLevel spells every byte as one printable
// character; a token with any other character stands for its own text.
std::string bytes_of_token(std::string_view token);

class Bpe {
public:
    static Result<std::unique_ptr<Bpe>> parse(const nlohmann::json& model, const std::string& where);

    void encode(std::string_view word, std::vector<i32>& ids) const;  // appends
    std::optional<i32> find(std::string_view token) const;            // by its spelling in the file
    const std::vector<std::string>& tokens() const {
        return tokens_;
    }  // spelling by id; empty where no token is

private:
    struct Merge {
        i32 rank = 0;
        i32 id = 0;
    };
    Status read_vocab(const nlohmann::json& vocab, const std::string& where);
    Status read_merges(const nlohmann::json& merges, const std::string& where);
    void merge_word(std::string_view word, std::vector<i32>& ids) const;
    const Merge* merge_of(i32 left, i32 right) const;

    std::vector<std::string> tokens_;
    std::unordered_map<std::string, i32> ids_;    // by spelling
    std::unordered_map<std::string, i32> words_;  // by bytes; with ignore_merges only
    std::array<i32, 256> byte_ids_{};             // -1: the vocabulary lacks the byte
    std::unordered_map<u64, Merge> merges_;       // by left id << 32 | right id
    bool ignore_merges_ = false;                  // a word that is a token is that token

    mutable std::shared_mutex cache_lock_;
    mutable std::unordered_map<std::string, std::vector<i32>> cache_;
};

}  // namespace warpwright
