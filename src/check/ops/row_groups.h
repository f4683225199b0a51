// SPDX-License-Identifier: Apache-2.0
// Random groups of rows (warpwright/grouping.h) for checks of products: empty, full, and between.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "warpwright/grouping.h"

namespace warpwright {

struct RowGroups {
    struct Part {
        i64 group, first, count;  // rows, counted over all groups where they are masked
    };
    std::vector<i32> list;  // group_of_row or rows_of_group
    std::vector<Part> parts;
};

// Of m rows, or of m rows of each group. Masked: the first group is empty, the second full. Contiguous: the
// first run is empty, the second full, and a group may have several runs or none.
inline RowGroups random_row_groups(std::mt19937_64& random, Grouping grouping, i64 groups, i64 m,
                                   i64 run_rows = kGroupRows) {
    RowGroups all;
    if (grouping == Grouping::none) all.parts.push_back({0, 0, m});
    for (i64 g = 0; g < groups && grouping == Grouping::masked; ++g) {
        const i64 count = g == 0 ? 0 : g == 1 ? m : static_cast<i64>(random() % (m + 1));
        all.list.push_back(static_cast<i32>(count));
        all.parts.push_back({g, g * m, count});
    }
    i64 group = 0;
    for (i64 first = 0; first < m && grouping == Grouping::contiguous; first += run_rows) {
        const i64 run = std::min<i64>(run_rows, m - first);
        const i64 count = first == 0 ? 0 : first == run_rows ? run : static_cast<i64>(random() % (run + 1));
        for (i64 i = 0; i < run; ++i) all.list.push_back(i < count ? static_cast<i32>(group) : -1);
        all.parts.push_back({group, first, count});
        group = (group + static_cast<i64>(random() % 3)) % groups;
    }
    return all;
}

}  // namespace warpwright
