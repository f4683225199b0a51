// SPDX-License-Identifier: Apache-2.0
#include "inspect/knowledge/patterns.h"

#include <algorithm>
#include <stdexcept>

namespace warpwright::inspect {

PatternSet::PatternSet(std::vector<std::string> patterns) : patterns_(std::move(patterns)) {
    if (patterns_.empty()) return;
    window_ = patterns_.front().size();
    for (const std::string& pattern : patterns_) window_ = std::min(window_, pattern.size());
    if (window_ < kShortest) throw std::logic_error("a pattern of less than six bytes");
    window_ = std::min<std::size_t>(window_, 255);

    constexpr u32 kHashes = 1u << kHashBits;
    shift_.assign(kHashes, static_cast<u8>(window_ - kBlock + 1));
    first_.assign(kHashes + 1, 0);
    for (const std::string& pattern : patterns_) {
        for (std::size_t end = kBlock; end <= window_; ++end) {
            u8& shift = shift_[hash_of(pattern.data() + end - kBlock)];
            shift = std::min(shift, static_cast<u8>(window_ - end));
        }
        ++first_[hash_of(pattern.data() + window_ - kBlock) + 1];
    }
    for (u32 hash = 0; hash < kHashes; ++hash) first_[hash + 1] += first_[hash];
    by_hash_.resize(patterns_.size());
    std::vector<u32> next(first_.begin(), first_.end() - 1);
    for (u32 i = 0; i < patterns_.size(); ++i)
        by_hash_[next[hash_of(patterns_[i].data() + window_ - kBlock)]++] = i;
}

}  // namespace warpwright::inspect
