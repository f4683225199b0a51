// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/printable.h"

#include <fmt/format.h>

#include <iterator>

namespace warpwright::inspect {
namespace {

// Of the character at the beginning of `text`; 0: no valid one. Surrogates and overlong forms are none.
size_t character_bytes(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return 1;
    const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
    for (size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return 0;
    }
    const unsigned char second = byte(1);
    if (first == 0xE0 && second < 0xA0) return 0;
    if (first == 0xED && second >= 0xA0) return 0;
    if (first == 0xF0 && second < 0x90) return 0;
    if (first == 0xF4 && second >= 0x90) return 0;
    return size;
}

}  // namespace

std::string printable(std::string_view name) {
    std::string text;
    text.reserve(name.size());
    while (!name.empty()) {
        size_t size = character_bytes(name);
        const auto first = static_cast<unsigned char>(name[0]);
        const bool is_control = first < 0x20 || first == 0x7F ||
                                (size == 2 && first == 0xC2 && static_cast<unsigned char>(name[1]) < 0xA0);
        if (size == 0 || is_control || name.starts_with("\\x")) {
            size = std::max<size_t>(size, 1);
            for (const char c : name.substr(0, size))
                fmt::format_to(std::back_inserter(text), "\\x{:02x}", static_cast<unsigned char>(c));
        } else {
            text += name.substr(0, size);
        }
        name.remove_prefix(size);
    }
    return text;
}

}  // namespace warpwright::inspect
