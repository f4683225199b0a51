// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "emulator/parse/module.h"

namespace warpwright::emulator {
namespace {

// In the order of Type.
constexpr TypeFacts kFacts[] = {
    {"", 0, false, false},       {"pred", 1, false, false},   {"b8", 8, false, false},
    {"b16", 16, false, false},   {"b32", 32, false, false},   {"b64", 64, false, false},
    {"b128", 128, false, false}, {"u8", 8, false, false},     {"u16", 16, false, false},
    {"u32", 32, false, false},   {"u64", 64, false, false},   {"s8", 8, false, true},
    {"s16", 16, false, true},    {"s32", 32, false, true},    {"s64", 64, false, true},
    {"f16", 16, true, false},    {"f16x2", 32, true, false},  {"bf16", 16, true, false},
    {"bf16x2", 32, true, false}, {"f32", 32, true, false},    {"f32x2", 64, true, false},
    {"f64", 64, true, false},    {"tf32", 32, true, false},   {"u16x2", 32, false, false},
    {"s16x2", 32, false, true},  {"e4m3", 8, true, false},    {"e5m2", 8, true, false},
    {"e3m2", 6, true, false},    {"e2m3", 6, true, false},    {"e2m1", 4, true, false},
    {"ue8m0", 8, true, false},   {"ue4m3", 8, true, false},   {"e4m3x2", 16, true, false},
    {"e5m2x2", 16, true, false}, {"e3m2x2", 16, true, false},  // each element in a byte of its own
    {"e2m3x2", 16, true, false}, {"e2m1x2", 8, true, false},  {"ue8m0x2", 16, true, false},
    {"e4m3x4", 32, true, false}, {"e5m2x4", 32, true, false}, {"e3m2x4", 32, true, false},
    {"e2m3x4", 32, true, false}, {"e2m1x4", 16, true, false}, {"s4", 4, false, true},
    {"u4", 4, false, false},     {"b1", 1, false, false},
};
constexpr int kNumTypes = std::size(kFacts);
static_assert(kNumTypes == static_cast<int>(Type::b1) + 1);

constexpr std::array<Type, kNumTypes> by_name() {
    std::array<Type, kNumTypes> sorted{};
    for (int i = 0; i < kNumTypes; ++i) sorted[i] = static_cast<Type>(i);
    std::sort(sorted.begin(), sorted.end(), [](Type a, Type b) {
        return std::string_view(kFacts[static_cast<int>(a)].name) < kFacts[static_cast<int>(b)].name;
    });
    return sorted;
}
constexpr std::array<Type, kNumTypes> kByName = by_name();

}  // namespace

const TypeFacts& facts_of(Type type) {
    return kFacts[static_cast<int>(type)];
}

// The empty name is that of Type::none.
Type type_named(std::string_view name) {
    const auto found = std::lower_bound(kByName.begin(), kByName.end(), name,
                                        [](Type a, std::string_view b) { return facts_of(a).name < b; });
    return found != kByName.end() && facts_of(*found).name == name ? *found : Type::none;
}

}  // namespace warpwright::emulator
