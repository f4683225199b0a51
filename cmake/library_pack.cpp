// SPDX-License-Identifier: Apache-2.0
// Linked into the program of the Python package: the images are those of the library beside it, so that the
// package has them once.
#include <dlfcn.h>

#include <climits>
#include <cstddef>
#include <string>

#include <unistd.h>

#include "image/pack.h"

namespace warpwright {
std::string_view packed_images() {
    char path[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
    if (length <= 0) return {};
    const std::string program(path, static_cast<std::size_t>(length));
    const std::string folder = program.substr(0, program.rfind('/'));
    void* library = dlopen((folder + "/../libwarpwright.so").c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return {};
    const auto images = reinterpret_cast<const void* (*)(std::size_t*)>(dlsym(library, "ww_packed_images"));
    if (images == nullptr) return {};
    std::size_t bytes = 0;
    const void* data = images(&bytes);
    return {static_cast<const char*>(data), bytes};
}
}  // namespace warpwright
