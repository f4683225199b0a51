// SPDX-License-Identifier: Apache-2.0
// NVRTC, NVIDIA's run-time compiler, opened when first needed. Nothing of the CUDA toolkit is linked or
// included.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "warpwright/status.h"

namespace warpwright {

// The functions used, declared as in NVRTC's reference ("NVRTC: User Interface"); a result of 0 is success.
struct Nvrtc {
    using Program = void*;

    std::string path;     // as it was opened
    std::string version;  // with the patch level: "13.0.88"

    int (*create_program)(Program*, const char* text, const char* name, int num_headers,
                          const char* const* headers, const char* const* include_names) = nullptr;
    int (*destroy_program)(Program*) = nullptr;
    int (*compile_program)(Program, int num_options, const char* const* options) = nullptr;
    int (*log_bytes)(Program, std::size_t*) = nullptr;
    int (*log)(Program, char*) = nullptr;
    int (*ptx_bytes)(Program, std::size_t*) = nullptr;
    int (*ptx)(Program, char*) = nullptr;
    int (*cubin_bytes)(Program, std::size_t*) = nullptr;
    int (*cubin)(Program, char*) = nullptr;
    const char* (*error_text)(int) = nullptr;
    int (*numeric_version)(int* major, int* minor) = nullptr;
};

// Where it is looked for, in order. WARPWRIGHT_NVRTC (a file) replaces the list: who names a compiler gets
// that one or an error. Otherwise: the file found when the library was configured (WW_NVRTC), the dynamic
// linker's libnvrtc.so.13, CUDA_HOME and CUDA_PATH, /usr/local/cuda, and NVIDIA's wheel unpacked into .local
// of the repository or next to the installed library.
std::vector<std::string> nvrtc_candidates();

// The first candidate that opens and is 13.0 or later. The error says what was wrong with each.
Result<Nvrtc> open_nvrtc(std::span<const std::string> candidates);

// open_nvrtc(nvrtc_candidates()), once per process. Never closed.
Result<const Nvrtc*> nvrtc();

}  // namespace warpwright
