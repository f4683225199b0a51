// SPDX-License-Identifier: Apache-2.0
#include <cxxabi.h>

#include <cstdlib>
#include <memory>

#include "inspect/report.h"

namespace warpwright::inspect {

std::string demangle(const std::string& name) {
    constexpr std::size_t kLongest = 4096;
    if (!name.starts_with("_Z") || name.size() > kLongest) return name;
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> text(
        abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
    return status == 0 && text ? std::string(text.get()) : name;
}

}  // namespace warpwright::inspect
