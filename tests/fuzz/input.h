// SPDX-License-Identifier: Apache-2.0
// What fuzz targets share: inputs of several texts, and conditions that must hold whatever the input is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

namespace warpwright::fuzz {

inline void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "fuzz: does not hold: %s\n", what);
    std::abort();
}

// Reads every byte: sanitizers see where one is not there.
inline void touch(std::span<const std::byte> bytes) {
    unsigned sum = 0;
    for (const std::byte byte : bytes) sum += static_cast<unsigned>(byte);
    static volatile unsigned kept;
    kept = sum;
    static_cast<void>(kept);
}

// The texts between lines "---"; at least one.
inline std::vector<std::string_view> sections_of(const std::uint8_t* data, std::size_t size) {
    constexpr std::string_view kLine = "\n---\n";
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    std::vector<std::string_view> sections;
    for (std::size_t end = rest.find(kLine); end != rest.npos; end = rest.find(kLine)) {
        sections.push_back(rest.substr(0, end));
        rest.remove_prefix(end + kLine.size());
    }
    sections.push_back(rest);
    return sections;
}

}  // namespace warpwright::fuzz
