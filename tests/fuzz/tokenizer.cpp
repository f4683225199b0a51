// SPDX-License-Identifier: Apache-2.0
// A tokenizer.json, and a text behind a line "---": refused with a reason, or a tokenizer that encodes the
// text and decodes what it made of it, at once and token by token.
#include <algorithm>
#include <string>

#include "engine/tokenizer.h"
#include "engine/utf8.h"
#include "input.h"

using namespace warpwright;        // NOLINT: a program of one function
using namespace warpwright::fuzz;  // NOLINT

namespace {

constexpr std::size_t kMaxTextBytes = 256;  // patterns may take long at each of them

void check_text(const Tokenizer& tokenizer, std::string_view text) {
    const auto ids = tokenizer.encode(text);
    if (!ids.ok()) {
        require(!ids.status().message().empty(), "a text is refused with a reason");
        return;
    }
    require(!find_invalid_utf8(text), "what is encoded is UTF-8");
    for (const i32 id : *ids) {
        require(id >= 0 && id < tokenizer.vocab_size(), "ids are in the vocabulary");
        require(tokenizer.bytes_of(id).size() <= 64u << 10, "a token's bytes are no more than the file's");
    }
    for (const bool skip : {false, true}) {
        TokenStream stream(tokenizer, skip);
        std::string streamed;
        for (const i32 id : *ids) {
            streamed += stream.push(id);
            require(!find_invalid_utf8(streamed), "a stream hands out whole characters");
        }
        require(streamed + stream.finish() == tokenizer.decode(*ids, skip), "a stream adds up to the text");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto sections = sections_of(data, size);
    const auto tokenizer = Tokenizer::parse(sections[0], "file");
    if (!tokenizer.ok()) {
        require(tokenizer.status().kind() == ErrorKind::caller, "a bad tokenizer is a caller's error");
        require(tokenizer.status().message().starts_with("file: "),
                "the error of a tokenizer names its file");
        require(tokenizer.status().message().size() < 2000, "the error of a tokenizer is short");
        return 0;
    }
    for (std::size_t i = 1; i < std::min<std::size_t>(sections.size(), 4); ++i)
        check_text(*tokenizer, sections[i].substr(0, kMaxTextBytes));
    return 0;
}
