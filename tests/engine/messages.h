// SPDX-License-Identifier: Apache-2.0
// Assertions on the text of errors.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace warpwright {

inline ::testing::AssertionResult contains(const std::string& message, std::string_view part) {
    if (message.find(part) != std::string::npos) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "expected '" << part << "' in '" << message << "'";
}

inline ::testing::AssertionResult ends_with(const std::string& message, std::string_view end) {
    if (message.ends_with(end)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "expected '" << end << "' at the end of '" << message << "'";
}

}  // namespace warpwright
