// SPDX-License-Identifier: Apache-2.0
#include "dispatch/nearest.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace warpwright {

int edit_distance(std::string_view a, std::string_view b) {
    // Optimal string alignment: a swap counts once, because "5900" for "5090" is one slip of the fingers.
    const std::size_t width = b.size() + 1;
    std::vector<int> table((a.size() + 1) * width);
    auto at = [&](std::size_t i, std::size_t j) -> int& { return table[i * width + j]; };
    for (std::size_t i = 0; i <= a.size(); ++i) at(i, 0) = static_cast<int>(i);
    for (std::size_t j = 0; j <= b.size(); ++j) at(0, j) = static_cast<int>(j);
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            int edits =
                std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (a[i - 1] != b[j - 1])});
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) edits = std::min(edits, at(i - 2, j - 2) + 1);
            at(i, j) = edits;
        }
    }
    return at(a.size(), b.size());
}

std::string nearest_name(std::string_view name, std::span<const std::string> names) {
    name = name.substr(0, 128);  // a longer one is no slip of the fingers, and the table is quadratic
    std::string best;
    int best_distance = std::numeric_limits<int>::max();
    for (const std::string& candidate : names) {
        const int distance = edit_distance(name, candidate);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

}  // namespace warpwright
