// SPDX-License-Identifier: Apache-2.0
#include "engine/unicode_ranges.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <iterator>
#include <vector>

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

bool is_before(u32 point, const Range& range) {
    return point < range.low;
}

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

GeneralCategory general_category(u32 code_point) {
    static const std::vector<Range> kCategories = [] {
        std::vector<Range> ranges;
        std::copy_if(std::begin(kMissing), std::end(kMissing), std::back_inserter(ranges),
                     [](const Range& range) { return range.property.size() == 2; });
        std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.low < b.low; });
        return ranges;
    }();
    const char* name = utf8proc_category_string(static_cast<utf8proc_int32_t>(code_point));
    if (name[0] == 'C' && name[1] == 'n') {
        const auto behind = std::upper_bound(kCategories.begin(), kCategories.end(), code_point, is_before);
        if (behind != kCategories.begin() && code_point <= behind[-1].high) name = behind[-1].property.data();
    }
    return {name[0], name[1]};
}

bool is_inert(u32 code_point) {
    const auto* found = std::upper_bound(std::begin(kInert), std::end(kInert), code_point, is_before);
    return found != std::begin(kInert) && code_point <= (found - 1)->high;
}

}  // namespace warpwright
