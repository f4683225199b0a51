// SPDX-License-Identifier: Apache-2.0
// Many strings looked for at once, over gigabytes (Wu and Manber, 1994): a window as long as the shortest
// string is moved by a table of how far its last four bytes are from the end of any string.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/types.h"

namespace warpwright::inspect {

class PatternSet {
public:
    static constexpr std::size_t kShortest = 6;  // bytes of a pattern: what is shorter is found everywhere

    PatternSet() = default;
    // Empty patterns and such below kShortest are a bug of the caller.
    explicit PatternSet(std::vector<std::string> patterns);

    const std::vector<std::string>& patterns() const { return patterns_; }

    // Calls found(pattern, offset) for every occurrence, in the order of their windows' ends.
    template <class Found>
    void scan(std::string_view text, Found&& found) const {
        if (patterns_.empty() || text.size() < window_) return;
        const char* const begin = text.data();
        for (std::size_t end = window_; end <= text.size();) {
            const u32 hash = hash_of(begin + end - kBlock);
            if (const u8 shift = shift_[hash]; shift != 0) {
                end += shift;
                continue;
            }
            const std::size_t start = end - window_;
            for (u32 i = first_[hash]; i < first_[hash + 1]; ++i) {
                const std::string& pattern = patterns_[by_hash_[i]];
                if (text.size() - start >= pattern.size() &&
                    std::memcmp(begin + start, pattern.data(), pattern.size()) == 0)
                    found(by_hash_[i], start);
            }
            ++end;
        }
    }

private:
    static constexpr std::size_t kBlock = 4;
    static constexpr u32 kHashBits = 15;
    static u32 hash_of(const char* block) {
        u32 word;
        std::memcpy(&word, block, sizeof(word));
        return (word * 0x9e3779b1u) >> (32 - kHashBits);
    }

    std::vector<std::string> patterns_;
    std::size_t window_ = 0;
    std::vector<u8> shift_;     // of each hash
    std::vector<u32> first_;    // of each hash, into by_hash_
    std::vector<u32> by_hash_;  // patterns whose window ends with a block of that hash
};

}  // namespace warpwright::inspect
