// SPDX-License-Identifier: Apache-2.0
// Reading a value of an enumeration by the text that enum_text has of it.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "warpwright/status.h"

namespace warpwright {

template <class Enum>
Status parse_one_of(std::string_view name, std::string_view text, std::initializer_list<Enum> all,
                    Enum& value) {
    std::string known;
    for (const Enum candidate : all) {
        if (text == enum_text(candidate)) {
            value = candidate;
            return {};
        }
        known += fmt::format("{}{}", known.empty() ? "" : ", ", enum_text(candidate));
    }
    return caller_error(fmt::format("{}: expected one of {}, got '{}'", name, known, text));
}

}  // namespace warpwright
