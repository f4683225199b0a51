// SPDX-License-Identifier: Apache-2.0
#include "engine/unicode_ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace warpwright {
namespace {

struct Range {
    std::string_view property;
    u32 low, high;
};

constexpr Range kMissing[] = {
#define WW_CATEGORY(property, low, high) {#property, low, high},
#define WW_INERT(low, high)
#include "engine/unicode_ranges.inc"
#undef WW_CATEGORY
#undef WW_INERT
};

constexpr Range kInert[] = {
#define WW_CATEGORY(property, low, high)
#define WW_INERT(low, high) {"", low, high},
#include "engine/unicode_ranges.inc"
#undef WW_CATEGORY
#undef WW_INERT
};

}  // namespace

std::string ranges_missing_from(std::string_view property) {
    std::string out;
    for (const Range& range : kMissing) {
        const bool two_letters = range.property.size() == 2;
        if (range.property == property ||
            (two_letters && property.size() == 1 && range.property[0] == property[0])) {
            out += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", range.low, range.high);
        }
    }
    return out;
}

bool is_inert(u32 code_point) {
    const auto* found = std::upper_bound(std::begin(kInert), std::end(kInert), code_point,
                                         [](u32 point, const Range& range) { return point < range.low; });
    return found != std::begin(kInert) && code_point <= (found - 1)->high;
}

}  // namespace warpwright
