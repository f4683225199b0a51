// SPDX-License-Identifier: Apache-2.0
#include "inspect/text.h"

#include <fmt/format.h>

#include <array>

namespace warpwright::inspect {
std::string bytes_text(u64 bytes) {
    static constexpr std::array kUnits = {"kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 1000) return fmt::format("{} B", bytes);
    double value = static_cast<double>(bytes) / 1000;
    size_t unit = 0;
    while (value >= 999.95 && unit + 1 < kUnits.size()) {
        value /= 1000;
        ++unit;
    }
    return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string title_of(const Library& library) {
    std::string title = library.name;
    if (!library.version.empty()) title += " " + library.version;
    if (!library.detail.empty()) title += " (" + library.detail + ")";
    return title;
}

std::string shortened(std::string_view text, size_t most) {
    if (text.size() <= most) return std::string(text);
    const size_t front = most * 2 / 3, back = most - front;
    return fmt::format("{} ... {}", text.substr(0, front), text.substr(text.size() - back));
}

std::string_view short_path(std::string_view path) {
    const size_t last = path.rfind('/');
    if (last == std::string_view::npos || last == 0) return path;
    const size_t before = path.rfind('/', last - 1);
    return before == std::string_view::npos ? path : path.substr(before + 1);
}

}  // namespace warpwright::inspect
