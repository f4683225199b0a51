// SPDX-License-Identifier: Apache-2.0
// Semantics: the `tokenizers` crate, models/bpe/ and pre_tokenizers/byte_level.rs.
#include "engine/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <queue>

#include "engine/json_fields.h"
#include "engine/utf8.h"

namespace warpwright {
namespace {

using nlohmann::json;

constexpr i64 kMaxTokenId = 1 << 21;  // eight times the largest vocabulary there is; ids index tables
constexpr std::size_t kMaxCachedWords = 1 << 14;
constexpr std::size_t kMaxCachedBytes = 64;

// GPT-2's table: printable Latin-1 bytes stand for themselves, the others for U+0100 and on, in order.
struct Alphabet {
    std::array<u32, 256> character{};
    std::array<i16, 512> byte{};  // by character; -1

    Alphabet() {
        byte.fill(-1);
        u32 next = 256;
        for (u32 b = 0; b < 256; ++b) {
            const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
            character[b] = printable ? b : next++;
            byte[character[b]] = static_cast<i16>(b);
        }
    }
};

const Alphabet& alphabet() {
    static const Alphabet kAlphabet;
    return kAlphabet;
}

u64 pair_key(i32 left, i32 right) {
    return static_cast<u64>(static_cast<u32>(left)) << 32 | static_cast<u32>(right);
}

}  // namespace

namespace {

std::optional<std::string> bytes_by_alphabet(std::string_view token) {
    std::string bytes;
    for (std::size_t at = 0; at < token.size();) {
        const Utf8Character character = first_character(token.substr(at));
        if (character.code_point >= 512 || alphabet().byte[character.code_point] < 0) return std::nullopt;
        bytes += static_cast<char>(alphabet().byte[character.code_point]);
        at += character.length;
    }
    return bytes;
}

}  // namespace

std::string bytes_of_token(std::string_view token) {
    return bytes_by_alphabet(token).value_or(std::string(token));
}

Status Bpe::read_vocab(const json& vocab, const std::string& where) {
    for (const auto& [token, id] : vocab.items()) {
        if (!id.is_number_unsigned() || id.get<u64>() >= static_cast<u64>(kMaxTokenId)) {
            return caller_error(fmt::format("{}: vocab: '{:.80}': expected an id from 0 to {}, got {}", where,
                                            token, kMaxTokenId - 1, describe_json(id)));
        }
        const i32 number = id.get<i32>();
        if (static_cast<std::size_t>(number) >= tokens_.size()) tokens_.resize(number + 1);
        tokens_[number] = token;
        ids_.emplace(token, number);
        if (ignore_merges_) {
            if (auto bytes = bytes_by_alphabet(token)) words_.emplace(std::move(*bytes), number);
        }
    }
    for (u32 b = 0; b < 256; ++b) {
        std::string spelling;
        append_utf8(spelling, alphabet().character[b]);
        byte_ids_[b] = find(spelling).value_or(-1);
    }
    return {};
}

Status Bpe::read_merges(const json& merges, const std::string& where) {
    merges_.reserve(merges.size());
    i32 rank = 0;
    for (const json& merge : merges) {
        std::string left;
        std::string right;
        bool good = false;
        if (merge.is_string()) {  // "a b"; newer files hold pairs, because tokens may contain spaces
            const std::string& text = merge.get_ref<const std::string&>();
            if (rank == 0 && text.starts_with("#version")) continue;
            const std::size_t space = text.find(' ');
            good = space != text.npos && text.find(' ', space + 1) == text.npos;
            if (good) left = text.substr(0, space), right = text.substr(space + 1);
        } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
            left = merge[0].get<std::string>();
            right = merge[1].get<std::string>();
            good = true;
        }
        if (!good) {
            return caller_error(
                fmt::format("{}: merges: number {}: expected 'a b' or a pair of strings, got {}", where, rank,
                            describe_json(merge)));
        }
        for (const std::string& token : {left, right, left + right}) {
            if (!find(token)) {
                return caller_error(fmt::format("{}: merges: number {}: token '{:.80}' is not in the vocab",
                                                where, rank, token));
            }
        }
        merges_[pair_key(*find(left), *find(right))] = {rank, *find(left + right)};
        ++rank;
    }
    return {};
}

Result<std::unique_ptr<Bpe>> Bpe::parse(const json& model, const std::string& where) {
    Fields fields(model, where);
    const std::string type = fields.text_or("type", "BPE");
    if (type != "BPE") fields.fail(fmt::format("unknown type '{:.40}'; supported: BPE", type));
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        if (!fields.text_or(affix, "").empty()) fields.fail(fmt::format("'{}' is not supported", affix));
    }
    if (const json* dropout = fields.find("dropout"); dropout != nullptr && *dropout != 0.0) {
        fields.fail(fmt::format("'dropout': expected none, got {}", describe_json(*dropout)));
    }
    auto bpe = std::make_unique<Bpe>();
    bpe->ignore_merges_ = fields.flag_or("ignore_merges", false);
    const bool byte_fallback = fields.flag_or("byte_fallback", false);
    const json* vocab = fields.object("vocab");
    const json* merges = fields.array("merges");
    WW_TRY(fields.status());
    WW_TRY(bpe->read_vocab(*vocab, where));
    WW_TRY(bpe->read_merges(*merges, where));
    const bool complete = std::find(bpe->byte_ids_.begin(), bpe->byte_ids_.end(), -1) == bpe->byte_ids_.end();
    if (!complete && (byte_fallback || fields.find("unk_token") != nullptr)) {
        return caller_error(
            fmt::format("{}: expected all 256 bytes in the vocab: unknown tokens are not supported", where));
    }
    return bpe;
}

std::optional<i32> Bpe::find(std::string_view token) const {
    const auto found = ids_.find(std::string(token));
    return found == ids_.end() ? std::nullopt : std::optional<i32>(found->second);
}

const Bpe::Merge* Bpe::merge_of(i32 left, i32 right) const {
    const auto found = merges_.find(pair_key(left, right));
    return found == merges_.end() ? nullptr : &found->second;
}

// A linked list of symbols and a heap of the pairs that merge: the lowest rank first, the leftmost of equals.
// Entries of the heap are not removed when a neighbour changes; they are checked when they come up.
void Bpe::merge_word(std::string_view word, std::vector<i32>& ids) const {
    struct Symbol {
        i32 id;
        int previous;
        int next;
        bool alive;
    };
    struct Entry {
        i32 rank;
        int position;
        i32 id;
        bool operator<(const Entry& other) const {
            return rank != other.rank ? rank > other.rank : position > other.position;
        }
    };
    std::vector<Symbol> symbols;
    symbols.reserve(word.size());
    for (const char c : word) {
        const i32 id = byte_ids_[static_cast<u8>(c)];
        if (id < 0) continue;  // the field drops a byte that the vocabulary lacks
        const int position = static_cast<int>(symbols.size());
        symbols.push_back({id, position - 1, position + 1, true});
    }
    if (symbols.empty()) return;
    symbols.back().next = -1;

    std::priority_queue<Entry> heap;
    const auto consider = [&](int position) {
        const int next = position < 0 ? -1 : symbols[position].next;
        if (next < 0) return;
        if (const Merge* merge = merge_of(symbols[position].id, symbols[next].id)) {
            heap.push({merge->rank, position, merge->id});
        }
    };
    for (int i = 0; i < static_cast<int>(symbols.size()); ++i) consider(i);
    while (!heap.empty()) {
        const Entry top = heap.top();
        heap.pop();
        Symbol& left = symbols[top.position];
        if (!left.alive || left.next < 0) continue;
        Symbol& right = symbols[left.next];
        const Merge* merge = merge_of(left.id, right.id);
        if (merge == nullptr || merge->id != top.id) continue;
        left.id = top.id;
        left.next = right.next;
        right.alive = false;
        if (left.next >= 0) symbols[left.next].previous = top.position;
        consider(left.previous);
        consider(top.position);
    }
    for (int i = 0; i >= 0; i = symbols[i].next) ids.push_back(symbols[i].id);
}

void Bpe::encode(std::string_view word, std::vector<i32>& ids) const {
    const std::string key(word);
    if (ignore_merges_) {
        if (const auto found = words_.find(key); found != words_.end()) {
            ids.push_back(found->second);
            return;
        }
    }
    const bool cached = word.size() <= kMaxCachedBytes;
    if (cached) {
        std::shared_lock lock(cache_lock_);
        if (const auto found = cache_.find(key); found != cache_.end()) {
            ids.insert(ids.end(), found->second.begin(), found->second.end());
            return;
        }
    }
    std::vector<i32> merged;
    merge_word(word, merged);
    ids.insert(ids.end(), merged.begin(), merged.end());
    if (cached) {
        std::unique_lock lock(cache_lock_);
        if (cache_.size() < kMaxCachedWords) cache_.emplace(key, std::move(merged));
    }
}

}  // namespace warpwright
