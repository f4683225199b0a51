// SPDX-License-Identifier: Apache-2.0
#include "dispatch/nearest.h"

#include <algorithm>
#include <numeric>

namespace warpwright {

std::string nearest(std::string_view wanted, std::span<const std::string> names) {
    std::string best;
    std::size_t best_distance = ~std::size_t{0};
    for (const std::string& name : names) {
        // Levenshtein's recurrence, one row at a time.
        std::vector<std::size_t> row(name.size() + 1);
        std::iota(row.begin(), row.end(), std::size_t{0});
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            std::size_t diagonal = row[0];
            row[0] = i + 1;
            for (std::size_t j = 0; j < name.size(); ++j) {
                const std::size_t replaced = diagonal + (wanted[i] == name[j] ? 0 : 1);
                diagonal = row[j + 1];
                row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
            }
        }
        if (row.back() < best_distance) best_distance = row.back(), best = name;
    }
    return best;
}

}  // namespace warpwright
