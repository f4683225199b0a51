// SPDX-License-Identifier: Apache-2.0
// Samples made by the CUDA toolkit of this machine, where there is one. Each is made once per run of the
// tests.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/bytes.h"

namespace warpwright::inspect {

// "" when there is no such program: /usr/local/cuda/bin, else what the PATH has.
std::string toolkit_program(std::string_view name);

// Every target of ptxas 13.0; those of a later one that were not measured are not in the list.
const std::vector<std::string>& toolkit_targets();  // "sm_75", ..., "sm_121f"

struct Sample {
    std::string bytes;
    std::string log;  // what the program printed: ptxas -v
    int exit_code = 0;
};

// ptxas -v -arch=TARGET OPTIONS on the text. Nothing without ptxas; a text that it refuses has its exit code.
std::optional<Sample> assemble(std::string_view ptx, std::string_view target, std::string_view options = "");

// nvcc OPTIONS -o OUTPUT on the source, e.g. "-cubin -arch=sm_90a".
std::optional<Sample> compile_sample(std::string_view source, std::string_view options);

// nvlink of relocatable cubins.
std::optional<Sample> link_sample(const std::vector<std::string>& cubins, std::string_view target);

// What NVIDIA's own program prints about a cubin: "nvdisasm -hex", "cuobjdump -res-usage".
std::optional<std::string> printed_by(const std::string& program, std::string_view options,
                                      const std::string& cubin);

inline Bytes bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace warpwright::inspect

// In a test: skips it, counted, where the program is missing.
#define WW_NEED_PROGRAM(name)                                 \
    if (::warpwright::inspect::toolkit_program(name).empty()) \
    GTEST_SKIP() << "needs " << (name) << ", found none"
