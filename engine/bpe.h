// SPDX-License-Identifier: Apache-2.0
// Byte-pair encoding: the vocabulary, the merges, and one word into token ids. Words are bytes (byte-level
// vocabularies) or text, of which a character outside the vocabulary becomes its bytes or the unknown token.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/flat_map.h"
#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

constexpr i64 kMaxTokenId = 1 << 21;  // eight times the largest vocabulary there is; ids index tables

// The bytes that a token of a byte-level vocabulary stands for. ByteLevel spells every byte as one printable
// character; a token with any other character stands for its own text.
std::string bytes_of_token(std::string_view token);

// "<0xE4>" of a vocabulary with byte fallback: 0xE4; nothing for any other token.
std::optional<u8> byte_of_token(std::string_view token);

class Bpe {
public:
    static Result<std::unique_ptr<Bpe>> parse(const nlohmann::json& model, bool byte_level,
                                              const std::string& where);

    // What one thread at a time encodes with: remembered words and room to work.
    class Worker {
    public:
        explicit Worker(const Bpe& bpe);
        void encode(std::string_view word, std::vector<i32>& ids);  // appends

    private:
        void encode_part(std::string_view part, std::vector<i32>& ids);
        void encode_short(std::string_view part, std::vector<i32>& ids);
        struct Remembered;
        struct Symbol {  // of a list
            i32 id;
            int previous, next;
            i32 rank, merged;  // of the merge with the next one; -1 where there is none
        };
        void merge(std::string_view word, u64 hash, std::vector<i32>& ids);
        void merge_short(std::vector<i32>& ids);
        void merge_long(std::vector<i32>& ids);

        const Bpe& bpe_;
        std::size_t num_remembered_;  // a power of two
        std::shared_ptr<Remembered[]> remembered_;
        std::vector<i32> initial_;  // ids of the word's characters
        std::vector<i32> ranks_, merged_;
        std::vector<Symbol> symbols_;
        std::vector<u64> heap_;
    };
    // Workers wait between uses, so that what they remember is kept.
    std::unique_ptr<Worker> take_worker() const;
    void give_back(std::unique_ptr<Worker> worker) const;

    std::optional<i32> find(std::string_view token) const;  // by its spelling in the file
    const std::vector<std::string>& tokens() const {
        return tokens_;
    }  // spelling by id; empty where no token is

private:
    struct Merge {
        i32 rank = 0;
        i32 id = 0;
    };
    struct Word {
        u32 begin = 0, size = 0;  // in word_bytes_
        i32 id = -1;
    };
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
    };
    using Ids = std::unordered_map<std::string, i32, TextHash, std::equal_to<>>;

    void add_word(std::string_view word, i32 id);
    std::optional<i32> find_word(std::string_view word, u64 hash) const;
    Status read_vocab(const nlohmann::json& vocab, const std::string& where);
    Status read_merges(const nlohmann::json& merges, const std::string& where);
    void split_text(std::string_view word, std::vector<i32>& ids) const;
    bool is_known(u32 character) const { return character_ids_.find(character) != nullptr; }
    std::size_t end_of_part(std::string_view word, std::size_t begin) const;
    const Merge* merge_of(i32 left, i32 right) const;

    std::vector<std::string> tokens_;
    Ids ids_;                          // by spelling
    FlatMap<Word> words_;              // by hash_of(); with ignore_merges only
    std::string word_bytes_;           // of all of them
    Ids colliding_words_;              // those whose hash another one has
    std::array<i32, 256> byte_ids_{};  // of a byte, or of its "<0x..>"; -1: the vocabulary lacks it
    FlatMap<i32> character_ids_;       // by code point: tokens of one character
    // Some token has the two characters side by side, by a hash of them; and those before U+2581 once more,
    // in a table that stays in a core's nearest cache.
    std::vector<bool> neighbours_;
    std::vector<bool> before_space_;
    FlatMap<Merge> merges_;  // by left id << 32 | right id
    bool byte_level_ = true;
    bool ignore_merges_ = false;  // a word that is a token is that token
    bool byte_fallback_ = false;
    bool fuse_unknown_ = false;
    i32 unknown_ = -1;  // -1: what is unknown is dropped

    mutable std::mutex workers_lock_;
    mutable std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace warpwright
