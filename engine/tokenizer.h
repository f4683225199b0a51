// SPDX-License-Identifier: Apache-2.0
// Text to token ids and back, as Hugging Face's `tokenizers` does it for byte-level BPE (tokenizer.json of
// GPT-2, Llama 3, Qwen, GLM-4 and their kin) and for BPE over text with byte fallback (Llama 2, Mistral,
// Phi-3, Gemma). A component of another type is a caller error that names it.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/added_tokens.h"
#include "engine/bpe.h"
#include "engine/decoder.h"
#include "engine/normalizer.h"
#include "engine/pretokenizer.h"
#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

class Tokenizer {
public:
    // A tokenizer.json, or a folder that holds one. The file's truncation and padding settings are ignored.
    static Result<Tokenizer> load(const std::filesystem::path& path);
    static Result<Tokenizer> parse(std::string_view text, const std::string& where);

    // Text that is not UTF-8 is a caller error with the byte's position. With `add_special_tokens` the
    // template of the file is applied: it puts the begin token in front for most models. Thread-safe.
    Result<std::vector<i32>> encode(std::string_view text, bool add_special_tokens = true) const;

    // U+FFFD stands for bytes that form no character. Ids that are no token are left out.
    std::string decode(std::span<const i32> ids, bool skip_special_tokens = true) const;

    // The bytes of one token, which need not be whole characters; a decoder may treat the front of a text
    // differently. Empty when there is no such token.
    std::string_view bytes_of(i32 id) const;
    bool is_special(i32 id) const;
    std::optional<i32> find(std::string_view token) const;              // by its spelling in the file
    int vocab_size() const { return static_cast<int>(bytes_.size()); }  // largest id + 1

private:
    friend class TokenStream;
    Status read_post_processor(const nlohmann::json& value, const std::string& where, int depth);
    Status read_spellings(const std::string& where);
    Status encode_plain(std::string_view text, bool starts_text, Bpe::Worker& worker,
                        std::vector<i32>& ids) const;

    std::unique_ptr<Bpe> bpe_;
    Normalizer normalizer_;
    AddedTokens added_;
    PreTokenizer pre_tokenizer_;
    Decoder decoder_;
    std::vector<i32> prefix_;  // what the template puts before the text, and behind it
    std::vector<i32> suffix_;
    std::vector<std::string> spelling_;  // by id; in the file
    std::vector<std::string> bytes_;     // by id; decoded
    std::vector<bool> special_;          // by id
    std::vector<bool> is_byte_;          // by id; a byte of the decoder's byte fallback
};

// Decodes a growing sequence: a character is handed out once all its bytes are there. With byte fallback
// that is when the run of bytes ends, for one broken character makes U+FFFD of each byte of its run. What
// push() and finish() return adds up to Tokenizer::decode of all ids.
class TokenStream {
public:
    explicit TokenStream(const Tokenizer& tokenizer, bool skip_special_tokens = true)
        : tokenizer_(tokenizer),
          skip_special_tokens_(skip_special_tokens),
          num_to_strip_(tokenizer.decoder_.num_stripped) {}

    std::string push(i32 id);
    std::string finish();

private:
    void take_held(std::string& text);
    void strip_front(std::string& text);

    const Tokenizer& tokenizer_;
    bool skip_special_tokens_;
    int num_to_strip_;
    bool first_ = true;
    std::string held_;  // an unfinished character, or an unfinished run of bytes
};

}  // namespace warpwright
