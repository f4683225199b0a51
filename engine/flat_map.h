// SPDX-License-Identifier: Apache-2.0
// A hash table from 64-bit numbers to small values, in one array: a look-up is one cache line most times.
#pragma once

#include <cstddef>
#include <vector>

#include "warpwright/types.h"

namespace warpwright {

template <class Value>
class FlatMap {
public:
    static constexpr u64 kNoKey = ~u64{0};  // not to be inserted

    explicit FlatMap(std::size_t expected = 0) { resize(expected); }

    void reserve(std::size_t expected) {
        if (expected * 2 > slots_.size()) resize(expected);
    }
    std::size_t size() const { return size_; }

    const Value* find(u64 key) const {
        for (std::size_t at = slot_of(key);; at = (at + 1) & mask_) {
            const Slot& slot = slots_[at];
            if (slot.key == key) return &slot.value;
            if (slot.key == kNoKey) return nullptr;
        }
    }

    // False when the key was there; its value is replaced.
    bool insert(u64 key, const Value& value) {
        if ((size_ + 1) * 2 > slots_.size()) resize(size_ + 1);
        std::size_t at = slot_of(key);
        while (slots_[at].key != key && slots_[at].key != kNoKey) at = (at + 1) & mask_;
        const bool fresh = slots_[at].key == kNoKey;
        slots_[at] = {key, value};
        size_ += fresh;
        return fresh;
    }

private:
    struct Slot {
        u64 key = kNoKey;
        Value value{};
    };

    std::size_t slot_of(u64 key) const {
        const u64 mixed = (key ^ (key >> 29)) * 0x9E3779B97F4A7C15u;
        return (mixed >> 32) & mask_;
    }

    void resize(std::size_t expected) {
        std::size_t size = 16;
        while (size < expected * 2 + 2) size *= 2;
        std::vector<Slot> old(size);
        old.swap(slots_);
        mask_ = size - 1;
        size_ = 0;
        for (const Slot& slot : old) {
            if (slot.key != kNoKey) insert(slot.key, slot.value);
        }
    }

    std::vector<Slot> slots_;
    std::size_t mask_ = 0;
    std::size_t size_ = 0;
};

}  // namespace warpwright
