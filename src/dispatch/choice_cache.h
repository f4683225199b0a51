// SPDX-License-Identifier: Apache-2.0
// Choices that were made before, of one context. Choosing walks over all rows and predicts a time for each;
// looking a choice up costs a fraction of a microsecond.
#pragma once

#include <array>
#include <cstring>
#include <shared_mutex>
#include <unordered_map>

#include "dispatch/measured.h"
#include "warpwright/types.h"

namespace warpwright {

// An operation's problem as words, one a field.
struct ChoiceKey {
    static constexpr std::size_t kMaxFields = 30;
    const void* op = nullptr;
    bool batch_invariant = false;
    u32 num_fields = 0;
    std::array<u64, kMaxFields> fields;

    bool operator==(const ChoiceKey& other) const {
        return op == other.op && batch_invariant == other.batch_invariant && num_fields == other.num_fields &&
               std::memcmp(fields.data(), other.fields.data(), num_fields * sizeof(u64)) == 0;
    }
};

struct ChoiceKeyHash {
    std::size_t operator()(const ChoiceKey& key) const {
        // A multiplication a word, its high half folded back.
        u64 hash = reinterpret_cast<std::uintptr_t>(key.op) + key.batch_invariant;
        for (u32 i = 0; i < key.num_fields; ++i) {
            const auto product = static_cast<unsigned __int128>(hash ^ key.fields[i]) * 0x9e3779b97f4a7c15u;
            hash = static_cast<u64>(product) ^ static_cast<u64>(product >> 64) ^ i;
        }
        return hash;
    }
};

template <class Op>
ChoiceKey choice_key(const typename Op::Problem& problem, bool batch_invariant) {
    ChoiceKey key;
    key.op = Op::kName;
    key.batch_invariant = batch_invariant;
    Op::Problem::visit(
        problem, [&](const char*, const auto& field) { key.fields[key.num_fields++] = field_bits(field); });
    return key;
}

// Thread-safe. At most kMaxChoices are kept: when there are more, it starts anew.
class ChoiceCache {
public:
    static constexpr std::size_t kMaxChoices = 4096;

    const void* find(const ChoiceKey& key) const {  // the row; null: not known
        const std::shared_lock lock(mutex_);
        const auto found = rows_.find(key);
        return found == rows_.end() ? nullptr : found->second;
    }

    // Changes with every clear(): a choice made under earlier wishes is not kept.
    u64 generation() const {
        const std::shared_lock lock(mutex_);
        return generation_;
    }
    void insert(const ChoiceKey& key, const void* row, u64 generation) {
        const std::unique_lock lock(mutex_);
        if (generation != generation_) return;
        if (rows_.size() >= kMaxChoices) rows_.clear();
        rows_[key] = row;
    }
    void clear() {
        const std::unique_lock lock(mutex_);
        rows_.clear();
        ++generation_;
    }
    std::size_t size() const {
        const std::shared_lock lock(mutex_);
        return rows_.size();
    }

private:
    mutable std::shared_mutex mutex_;
    std::unordered_map<ChoiceKey, const void*, ChoiceKeyHash> rows_;
    u64 generation_ = 0;
};

}  // namespace warpwright
