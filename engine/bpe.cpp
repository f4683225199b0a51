// SPDX-License-Identifier: Apache-2.0
// Semantics: the `tokenizers` crate, models/bpe/ and pre_tokenizers/byte_level.rs.
#include "engine/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/json_fields.h"
#include "engine/utf8.h"

namespace warpwright {
namespace {

using nlohmann::json;

constexpr std::string_view kSpace = "\xE2\x96\x81";  // which spells a space in text vocabularies
constexpr u32 kSpacePoint = 0x2581;
constexpr std::size_t kMaxRememberedWords = 1 << 15;
constexpr std::size_t kRememberedBytes = 30;
constexpr std::size_t kRememberedIds = 6;
constexpr std::size_t kMaxWorkers = 64;
constexpr std::size_t kNeighbourHashes = 1 << 22;
constexpr std::size_t kBeforeSpaceHashes = 1 << 13;
constexpr std::size_t kMaxShortWord = 48;  // symbols up to which looking at all pairs beats a heap

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

std::size_t neighbours_hash(u32 before, u32 behind) {
    const u64 mixed = (static_cast<u64>(before) << 32 | behind) * 0x9E3779B97F4A7C15u;
    return mixed >> 40 & (kNeighbourHashes - 1);
}

u64 hash_of(std::string_view word) {
    u64 hash = word.size();
    for (std::size_t at = 0; at < word.size(); at += 8) {
        u64 part = 0;
        std::memcpy(&part, word.data() + at, std::min<std::size_t>(8, word.size() - at));
        hash = (hash ^ part) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 32;
    }
    return std::min(hash, FlatMap<i32>::kNoKey - 1);
}

u64 pair_key(i32 left, i32 right) {
    return static_cast<u64>(static_cast<u32>(left)) << 32 | static_cast<u32>(right);
}

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

std::optional<u8> byte_of_token(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return std::nullopt;
    u8 value = 0;
    const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
    if (error != std::errc() || end != token.data() + 5) return std::nullopt;
    return value;
}

void Bpe::add_word(std::string_view word, i32 id) {
    const u64 hash = hash_of(word);
    if (words_.find(hash) != nullptr) {
        colliding_words_.emplace(word, id);
        return;
    }
    words_.insert(hash, {static_cast<u32>(word_bytes_.size()), static_cast<u32>(word.size()), id});
    word_bytes_ += word;
}

std::optional<i32> Bpe::find_word(std::string_view word, u64 hash) const {
    const Word* found = words_.find(hash);
    if (found == nullptr) return std::nullopt;
    if (std::string_view(word_bytes_).substr(found->begin, found->size) == word) return found->id;
    const auto colliding = colliding_words_.find(word);
    return colliding == colliding_words_.end() ? std::nullopt : std::optional<i32>(colliding->second);
}

Status Bpe::read_vocab(const json& vocab, const std::string& where) {
    if (vocab.size() > static_cast<std::size_t>(kMaxTokenId)) {
        return caller_error(
            fmt::format("{}: vocab: expected at most {} tokens, got {}", where, kMaxTokenId, vocab.size()));
    }
    ids_.reserve(vocab.size());
    if (!byte_level_) {
        neighbours_.resize(kNeighbourHashes);
        before_space_.resize(kBeforeSpaceHashes);
    }
    for (const auto& [token, id] : vocab.items()) {
        if (!id.is_number_unsigned() || id.get<u64>() >= static_cast<u64>(kMaxTokenId)) {
            return caller_error(fmt::format("{}: vocab: '{:.80}': expected an id from 0 to {}, got {}", where,
                                            token, kMaxTokenId - 1, describe_json(id)));
        }
        const i32 number = id.get<i32>();
        if (static_cast<std::size_t>(number) >= tokens_.size()) tokens_.resize(number + 1);
        if (!tokens_[number].empty()) {
            return caller_error(fmt::format("{}: vocab: id {} is '{:.80}' and '{:.80}'", where, number,
                                            tokens_[number], token));
        }
        tokens_[number] = token;
        ids_.emplace(token, number);
        if (ignore_merges_) {
            const auto word = byte_level_ ? bytes_by_alphabet(token) : std::optional<std::string>(token);
            if (word) add_word(*word, number);
        }
        if (!token.empty()) {
            const Utf8Character first = first_character(token);
            if (first.length == token.size()) character_ids_.insert(first.code_point, number);
            u32 before = first.code_point;
            for (std::size_t at = byte_level_ ? token.size() : first.length; at < token.size();) {
                const Utf8Character character = first_character(std::string_view(token).substr(at));
                neighbours_[neighbours_hash(before, character.code_point)] = true;
                if (character.code_point == kSpacePoint) before_space_[before % kBeforeSpaceHashes] = true;
                before = character.code_point;
                at += character.length;
            }
        }
    }
    for (u32 b = 0; b < 256; ++b) {
        std::string spelling;
        if (byte_level_)
            append_utf8(spelling, alphabet().character[b]);
        else
            spelling = fmt::format("<0x{:02X}>", b);
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
        merges_.insert(pair_key(*find(left), *find(right)), {rank, *find(left + right)});
        ++rank;
    }
    return {};
}

Result<std::unique_ptr<Bpe>> Bpe::parse(const json& model, bool byte_level, const std::string& where) {
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
    bpe->byte_level_ = byte_level;
    bpe->ignore_merges_ = fields.flag_or("ignore_merges", false);
    bpe->byte_fallback_ = fields.flag_or("byte_fallback", false);
    bpe->fuse_unknown_ = fields.flag_or("fuse_unk", false);
    const std::string unknown = fields.text_or("unk_token", "");
    const json* vocab = fields.object("vocab");
    const json* merges = fields.array("merges");
    WW_TRY(fields.status());
    WW_TRY(bpe->read_vocab(*vocab, where));
    WW_TRY(bpe->read_merges(*merges, where));
    if (!unknown.empty()) {
        const auto id = bpe->find(unknown);
        if (!id) {
            return caller_error(fmt::format("{}: 'unk_token': '{:.80}' is not in the vocab", where, unknown));
        }
        bpe->unknown_ = *id;
    }
    const bool complete = std::find(bpe->byte_ids_.begin(), bpe->byte_ids_.end(), -1) == bpe->byte_ids_.end();
    if (byte_level && !complete && (bpe->byte_fallback_ || bpe->unknown_ >= 0)) {
        return caller_error(fmt::format(
            "{}: expected all 256 bytes in a byte-level vocab that has an unknown token or a byte fallback",
            where));
    }
    return bpe;
}

std::optional<i32> Bpe::find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional<i32>(found->second);
}

const Bpe::Merge* Bpe::merge_of(i32 left, i32 right) const {
    return merges_.find(pair_key(left, right));
}

// The ids of a text's characters. An unknown one waits for its successor: unknowns side by side may be one.
// Bytes overtake it, as in the package.
void Bpe::split_text(std::string_view word, std::vector<i32>& ids) const {
    bool waiting = false;
    for (std::size_t at = 0; at < word.size();) {
        const Utf8Character character = first_character(word.substr(at));
        const std::string_view bytes = word.substr(at, character.length);
        at += character.length;
        if (const i32* id = character_ids_.find(character.code_point)) {
            if (waiting) ids.push_back(unknown_);
            waiting = false;
            ids.push_back(*id);
            continue;
        }
        const auto known = [&](char c) { return byte_ids_[static_cast<u8>(c)] >= 0; };
        if (byte_fallback_ && std::all_of(bytes.begin(), bytes.end(), known)) {
            for (const char c : bytes) ids.push_back(byte_ids_[static_cast<u8>(c)]);
            continue;
        }
        if (unknown_ < 0) continue;
        if (waiting && !fuse_unknown_) ids.push_back(unknown_);
        waiting = true;
    }
    if (waiting) ids.push_back(unknown_);
}

struct Bpe::Worker::Remembered {
    u64 hash;
    u8 num_bytes;
    u8 num_ids;  // 0: nothing is here
    char word[kRememberedBytes];
    i32 ids[kRememberedIds];
};

Bpe::Worker::Worker(const Bpe& bpe)
    : bpe_(bpe),
      num_remembered_(std::min(kMaxRememberedWords, std::bit_ceil(4 * bpe.tokens_.size() + 1))),
      remembered_(new Remembered[num_remembered_]()) {}

std::unique_ptr<Bpe::Worker> Bpe::take_worker() const {
    {
        const std::lock_guard lock(workers_lock_);
        if (!workers_.empty()) {
            auto worker = std::move(workers_.back());
            workers_.pop_back();
            return worker;
        }
    }
    return std::make_unique<Worker>(*this);
}

void Bpe::give_back(std::unique_ptr<Worker> worker) const {
    const std::lock_guard lock(workers_lock_);
    if (workers_.size() < kMaxWorkers) workers_.push_back(std::move(worker));
}

// The pair of the lowest rank, the leftmost of equals, until none merges.
void Bpe::Worker::merge_short(std::vector<i32>& ids) {
    constexpr i32 kNone = std::numeric_limits<i32>::max();
    std::vector<i32>& symbols = initial_;
    ranks_.resize(symbols.size());
    merged_.resize(symbols.size());
    const auto consider = [&](std::size_t i) {
        const Merge* merge = bpe_.merge_of(symbols[i], symbols[i + 1]);
        ranks_[i] = merge == nullptr ? kNone : merge->rank;
        merged_[i] = merge == nullptr ? -1 : merge->id;
    };
    std::size_t size = symbols.size();
    for (std::size_t i = 0; i + 1 < size; ++i) consider(i);
    while (size > 1) {
        const auto end = ranks_.begin() + static_cast<std::ptrdiff_t>(size) - 1;
        const auto best = std::min_element(ranks_.begin(), end);
        if (*best == kNone) break;
        const auto at = static_cast<std::size_t>(best - ranks_.begin());
        symbols[at] = merged_[at];
        for (std::size_t i = at + 1; i + 1 < size; ++i) {
            symbols[i] = symbols[i + 1];
            ranks_[i] = ranks_[i + 1];
            merged_[i] = merged_[i + 1];
        }
        --size;
        if (at > 0) consider(at - 1);
        if (at + 1 < size) consider(at);
    }
    ids.insert(ids.end(), symbols.begin(), symbols.begin() + static_cast<std::ptrdiff_t>(size));
}

// A linked list of symbols and a heap of the pairs that merge: the lowest rank first, the leftmost of equals.
// Entries of the heap are not removed when a neighbour changes; they are checked when they come up.
void Bpe::Worker::merge_long(std::vector<i32>& ids) {
    const auto find_merge = [&](int position) {
        Symbol& symbol = symbols_[position];
        const Merge* merge = symbol.next < 0 ? nullptr : bpe_.merge_of(symbol.id, symbols_[symbol.next].id);
        symbol.rank = merge == nullptr ? -1 : merge->rank;
        symbol.merged = merge == nullptr ? -1 : merge->id;
        if (merge != nullptr)
            heap_.push_back(static_cast<u64>(merge->rank) << 32 | static_cast<u32>(position));
        return merge != nullptr;
    };
    const auto consider = [&](int position) {
        if (position >= 0 && find_merge(position))
            std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    };
    const int size = static_cast<int>(initial_.size());
    symbols_.clear();
    heap_.clear();
    for (int i = 0; i < size; ++i)
        symbols_.push_back({initial_[i], i - 1, i + 1 < size ? i + 1 : -1, -1, -1});
    for (int i = 0; i < size; ++i) find_merge(i);
    std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
    while (!heap_.empty()) {
        std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
        const u64 top = heap_.back();
        heap_.pop_back();
        const int position = static_cast<int>(static_cast<u32>(top));
        Symbol& left = symbols_[position];
        if (left.rank != static_cast<i32>(top >> 32)) continue;
        Symbol& right = symbols_[left.next];
        right.rank = -1;  // it is no more
        left.id = left.merged;
        left.next = right.next;
        if (left.next >= 0) symbols_[left.next].previous = position;
        consider(left.previous);
        consider(position);
    }
    for (int i = 0; i >= 0; i = symbols_[i].next) ids.push_back(symbols_[i].id);
    if (symbols_.capacity() > kMaxRememberedWords) {
        symbols_ = {};
        heap_ = {};
    }
}

void Bpe::Worker::merge(std::string_view word, u64 hash, std::vector<i32>& ids) {
    if (bpe_.ignore_merges_) {
        if (const auto id = bpe_.find_word(word, hash)) {
            ids.push_back(*id);
            return;
        }
    }
    initial_.clear();
    if (bpe_.byte_level_) {
        for (const char c : word) {  // the field drops a byte that the vocabulary lacks
            const i32 id = bpe_.byte_ids_[static_cast<u8>(c)];
            if (id >= 0) initial_.push_back(id);
        }
    } else {
        bpe_.split_text(word, initial_);
    }
    if (initial_.empty()) return;
    if (initial_.size() <= kMaxShortWord)
        merge_short(ids);
    else
        merge_long(ids);
}

// Text vocabularies take a whole text for a word. Nothing merges across two known characters that stand side
// by side in no token: there it is cut, before spaces first, which leaves words that repeat.
std::size_t Bpe::end_of_part(std::string_view word, std::size_t begin) const {
    for (std::size_t at = word.find(kSpace, begin + 1); at != word.npos; at = word.find(kSpace, at + 1)) {
        const u32 before = last_character(word.substr(0, at)).code_point;
        if (!before_space_[before % kBeforeSpaceHashes] && is_known(before) && is_known(kSpacePoint))
            return at;
    }
    return word.size();
}

void Bpe::Worker::encode(std::string_view word, std::vector<i32>& ids) {
    if (bpe_.byte_level_ || bpe_.ignore_merges_) return encode_short(word, ids);
    for (std::size_t begin = 0; begin < word.size();) {
        const std::size_t end = bpe_.end_of_part(word, begin);
        encode_part(word.substr(begin, end - begin), ids);
        begin = end;
    }
}

// What is long is cut wherever that changes nothing: texts of scripts without spaces.
void Bpe::Worker::encode_part(std::string_view part, std::vector<i32>& ids) {
    if (part.size() <= kRememberedBytes) return encode_short(part, ids);
    Utf8Character character = first_character(part);
    std::size_t begin = 0;
    for (std::size_t at = character.length; at < part.size();) {
        const u32 before = character.code_point;
        character = first_character(part.substr(at));
        if (!bpe_.neighbours_[neighbours_hash(before, character.code_point)] && bpe_.is_known(before) &&
            bpe_.is_known(character.code_point)) {
            encode_short(part.substr(begin, at - begin), ids);
            begin = at;
        }
        at += character.length;
    }
    encode_short(part.substr(begin), ids);
}

// Words repeat: most are found in a table of the last ones seen, one to a slot.
void Bpe::Worker::encode_short(std::string_view word, std::vector<i32>& ids) {
    const u64 hash = hash_of(word);
    if (word.size() > kRememberedBytes) return merge(word, hash, ids);
    Remembered& slot = remembered_[hash & (num_remembered_ - 1)];
    if (slot.num_ids > 0 && slot.hash == hash && slot.num_bytes == word.size() &&
        std::memcmp(slot.word, word.data(), word.size()) == 0) {
        ids.insert(ids.end(), slot.ids, slot.ids + slot.num_ids);
        return;
    }
    const std::size_t before = ids.size();
    merge(word, hash, ids);
    const std::size_t count = ids.size() - before;
    if (count == 0 || count > kRememberedIds) return;
    slot.hash = hash;
    slot.num_bytes = static_cast<u8>(word.size());
    slot.num_ids = static_cast<u8>(count);
    std::memcpy(slot.word, word.data(), word.size());
    std::copy(ids.begin() + static_cast<std::ptrdiff_t>(before), ids.end(), slot.ids);
}

}  // namespace warpwright
