// SPDX-License-Identifier: Apache-2.0
#include "inspect/knowledge/template_arch.h"

#include <algorithm>
#include <iterator>

namespace warpwright::inspect {
namespace {

constexpr int kKnown[] = {70, 75, 80, 86, 89, 90, 100, 103, 120, 121};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// The number that begins at `at`, if it is that of an architecture.
int number_at(std::string_view name, std::size_t at) {
    int number = 0;
    std::size_t end = at;
    while (end < name.size() && end < at + 4 && is_digit(name[end]))
        number = number * 10 + (name[end++] - '0');
    return std::find(std::begin(kKnown), std::end(kKnown), number) != std::end(kKnown) ? number : 0;
}

int after(std::string_view name, std::string_view word) {
    for (std::size_t at = name.find(word); at != std::string_view::npos; at = name.find(word, at + 1)) {
        if (const int number = number_at(name, at + word.size())) return number;
    }
    return 0;
}

}  // namespace

int template_architecture(std::string_view name) {
    // CUTLASS 3 and later: epilogues of later main loops are named after Sm90 too.
    for (const std::string_view word : {"MainloopSm", "CollectiveMainloopFwdSm", "cutlass4arch4Sm",
                                        "cutlass4arch5Sm", "FwdSm", "BwdSm", "cutlass_", "sm", "Sm"}) {
        if (const int number = after(name, word)) return number;
    }
    return 0;
}

}  // namespace warpwright::inspect
