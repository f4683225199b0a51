// SPDX-License-Identifier: Apache-2.0
// Decoders of tokenizer.json: how the text of tokens becomes text.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

// ByteLevel; or Metaspace; or a Sequence of Replaces, then ByteFallback, Fuse and a Strip of the front, each
// where it is wanted.
struct Decoder {
    static Result<Decoder> parse(const nlohmann::json& value, const std::string& where);

    // What a token contributes, before what depends on its neighbours.
    std::string text_of(std::string_view token) const;

    bool byte_level = false;
    bool byte_fallback = false;  // tokens "<0xE4>" side by side are the bytes of characters
    bool fused = false;
    std::vector<std::pair<std::string, std::string>> replacements;
    std::string stripped;  // this character, up to so many times at the front of the text
    int num_stripped = 0;
    std::string dropped_first;  // Metaspace: no such character in the first token

private:
    Status add(const nlohmann::json& value, const std::string& where, int depth);
};

}  // namespace warpwright
