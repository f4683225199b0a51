// SPDX-License-Identifier: Apache-2.0
// Untrusted bytes, little endian: every read is checked, a read beyond the end gives nothing.
#pragma once

#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "warpwright/types.h"

namespace warpwright::inspect {

using Bytes = std::span<const std::byte>;

// [offset, offset + size), or nothing when that is not all there. No sum overflows.
inline std::optional<Bytes> slice(Bytes bytes, u64 offset, u64 size) {
    if (offset > bytes.size() || size > bytes.size() - offset) return std::nullopt;
    return bytes.subspan(offset, size);
}

// A number or plain struct at any alignment.
template <class T>
std::optional<T> read_at(Bytes bytes, u64 offset) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto part = slice(bytes, offset, sizeof(T));
    if (!part) return std::nullopt;
    T value;
    std::memcpy(&value, part->data(), sizeof(T));
    return value;
}

inline std::string_view as_text(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The NUL-terminated text at `offset`; without its NUL, and empty where there is none before the end.
inline std::string_view text_at(Bytes bytes, u64 offset) {
    if (offset >= bytes.size()) return {};
    const std::string_view rest = as_text(bytes.subspan(offset));
    const size_t end = rest.find('\0');
    return end == std::string_view::npos ? std::string_view{} : rest.substr(0, end);
}

}  // namespace warpwright::inspect
