// SPDX-License-Identifier: Apache-2.0
// The part of the search that sees every byte: texts that a match of some pattern must contain, and a scanner
// that finds any of them while it looks at a fraction of the bytes.
#pragma once

#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/types.h"

namespace warpwright::diagnose {

// For each alternative of the pattern's top level the longest text that is there in every match of it:
// literal characters outside of groups, classes and optional parts. An alternative without any gives an empty
// text.
std::vector<std::string> required_literals(std::string_view pattern);

// Wu and Manber 1994: the last three characters of a window tell how far it may move without passing a
// literal. The window is as long as the shortest literal.
class LiteralScanner {
public:
    static constexpr size_t kMinLiteral = 6;

    // Each at least kMinLiteral long; throws std::logic_error.
    explicit LiteralScanner(const std::vector<std::string>& literals);

    // The first place in [from, to) where a literal begins, which may end behind `to`; text.size() where
    // there is none.
    size_t find(std::string_view text, size_t from, size_t to) const;

private:
    static constexpr int kHashBits = 15;
    static u32 hash(const char* end) {  // of the three characters before `end`, of which four are there
        u32 word = 0;
        std::memcpy(&word, end - 4, 4);
        return (word >> 8) * 0x9E3779B1u >> (32 - kHashBits);
    }

    size_t window_ = 0;
    std::array<u8, 1u << kHashBits> shift_;
    std::vector<std::string> literals_;  // sorted by the hash of their window's end
    std::vector<u32> hashes_;
};

}  // namespace warpwright::diagnose
