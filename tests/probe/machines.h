// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>

#include "device/machine_json.h"

namespace warpwright::test {

inline std::string text_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path.string());
    return {std::istreambuf_iterator<char>(file), {}};
}

inline const std::filesystem::path kProbeTests = std::filesystem::path(WW_SOURCE_DIR) / "tests/probe";

// Machines of tests/probe/machines by the names of their files.
inline const std::map<std::string, Machine>& machines() {
    static const std::map<std::string, Machine> read = [] {
        std::map<std::string, Machine> found;
        for (const auto& entry : std::filesystem::directory_iterator(kProbeTests / "machines")) {
            auto machine = machine_from_json(text_of(entry.path()), entry.path().string());
            if (!machine.ok()) throw std::runtime_error(machine.status().message());
            found.emplace(entry.path().stem().string(), std::move(machine).value());
        }
        return found;
    }();
    return read;
}

}  // namespace warpwright::test
