// SPDX-License-Identifier: Apache-2.0
// What every function of the C ABI is wrapped in: no exception leaves, a Status becomes a ww_status and the
// thread's message. And how structs of other versions are read.
#pragma once

#include <cstddef>
#include <cstring>
#include <exception>
#include <new>
#include <string_view>

#include "warpwright/c.h"
#include "warpwright/status.h"

namespace warpwright::c {

// Keeps the message for ww_last_error. Never throws.
ww_status fail(ww_status status, std::string_view message) noexcept;
ww_status answer(const Status& status) noexcept;

// body() -> Status.
template <class Body>
ww_status guarded(Body&& body) noexcept {
    try {
        return answer(body());
    } catch (const std::bad_alloc&) {
        return fail(WW_ERROR_UNAVAILABLE, "out of memory of the host");
    } catch (const std::exception& error) {
        return fail(WW_ERROR_INTERNAL, error.what());
    } catch (...) {
        return fail(WW_ERROR_INTERNAL, "an exception that is none of the standard library's");
    }
}

// "gemm: expected a call, got null", for a pointer that must be there.
Status need(const void* pointer, const char* function, const char* what);

// The caller's struct as this library knows it: what the caller does not have is zero. A caller that has more
// may use it only if this library need not know.
template <class T>
Result<T> read_struct(const char* function, const T* given) {
    WW_TRY(need(given, function, "a struct"));
    std::size_t size = 0;
    std::memcpy(&size, given, sizeof(size));  // struct_size, the first field
    if (size < sizeof(size)) {
        return caller_error(std::string(function) + ": struct_size: expected sizeof of the struct, got " +
                            std::to_string(size));
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(given);
    for (std::size_t i = sizeof(T); i < size; ++i) {
        if (bytes[i] == 0) continue;
        return caller_error(std::string(function) + ": byte " + std::to_string(i) +
                            " of the struct is set, this library knows " + std::to_string(sizeof(T)) +
                            ": it is older than the header");
    }
    T known{};
    std::memcpy(&known, given, size < sizeof(T) ? size : sizeof(T));
    known.struct_size = sizeof(T);
    return known;
}

// Copies that ww_free ends.
Result<char*> new_text(std::string_view text);

inline std::string_view text_or_empty(const char* text) {
    return text == nullptr ? std::string_view{} : std::string_view(text);
}

}  // namespace warpwright::c
