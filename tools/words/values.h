// SPDX-License-Identifier: Apache-2.0
// The operands of forms: drawn by a generator that is specified here to the bit, so that recorded words need
// no recorded inputs. SplitMix64 (Steele, Lea, Flood 2014), seeded with the FNV-1a hash of the form's name.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/words/form.h"

namespace warpwright::words {

class Random {
public:
    explicit Random(u64 seed) : state_(seed) {}
    u64 next() {
        u64 z = state_ += 0x9e3779b97f4a7c15ull;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }
    u32 below(u32 bound) { return static_cast<u32>((next() >> 32) * bound >> 32); }
    bool one_in(u32 n) { return below(n) == 0; }

private:
    u64 state_;
};

// Where a value is drawn for.
struct Draw {
    Random& random;
    u32 thread = 0;     // of the form
    u64 warp_seed = 0;  // the same for the 32 threads of a warp
};

struct Kind {
    std::string_view name;  // in signatures
    int bytes = 4;          // as it is stored; 1, 2, 4, 8 or 16
    bool is_predicate = false;
    std::span<const u64> edges;  // tried in all combinations where there are not too many
    u64 (*draw)(Draw& draw) = nullptr;
};

// Aborts on a name that is none: signatures are part of the program.
const Kind& kind_named(std::string_view name);

// The input of a form: vectors x input_bytes().
std::vector<std::byte> inputs_of(const Form& form);

// FNV-1a, 64 bits.
u64 hash_of(std::span<const std::byte> bytes);
u64 hash_of(std::string_view text);

}  // namespace warpwright::words
