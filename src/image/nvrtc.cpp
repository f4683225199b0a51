// SPDX-License-Identifier: Apache-2.0
#include "image/nvrtc.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>

#include <fmt/format.h>

// Set by cmake/pack.cmake: the file found at configure time (may be empty), and the repository's .local
// folder.
#ifndef WW_NVRTC
#define WW_NVRTC ""
#endif
#ifndef WW_LOCAL_DIR
#define WW_LOCAL_DIR ""
#endif

namespace warpwright {
namespace {

constexpr int kMinMajor = 13;
constexpr std::string_view kFile = "libnvrtc.so.13";
constexpr std::string_view kWheelFile = "nvidia/cu13/lib/libnvrtc.so.13";  // inside nvidia-cuda-nvrtc 13.x

// The folder of the executable or shared library that this code is part of; empty when unknown.
std::string own_directory() {
    Dl_info info{};
    if (dladdr(reinterpret_cast<const void*>(&own_directory), &info) == 0 || info.dli_fname == nullptr)
        return {};
    std::error_code error;
    std::filesystem::path path = std::filesystem::canonical(info.dli_fname, error);
    // An executable started through PATH has only its bare name there.
    if (error) path = std::filesystem::read_symlink("/proc/self/exe", error);
    return error ? std::string{} : path.parent_path().string();
}

// "V13.0.88" from the comment at the head of every PTX text: nvrtcVersion gives no patch level, and a patch
// may change the code.
std::string patch_version(const Nvrtc& nvrtc, int major, int minor) {
    std::string version = fmt::format("{}.{}", major, minor);
    Nvrtc::Program program = nullptr;
    if (nvrtc.create_program(&program, "", "version", 0, nullptr, nullptr) != 0) return version;
    const char* options[] = {"--gpu-architecture=compute_80", "--minimal"};
    std::size_t bytes = 0;
    if (nvrtc.compile_program(program, 2, options) == 0 && nvrtc.ptx_bytes(program, &bytes) == 0) {
        std::string ptx(bytes, '\0');
        nvrtc.ptx(program, ptx.data());
        std::size_t at = ptx.find(", V" + version + ".");
        if (at != ptx.npos)
            version = ptx.substr(at + 3, ptx.find_first_not_of("0123456789.", at + 3) - at - 3);
    }
    nvrtc.destroy_program(&program);
    return version;
}

template <class Function>
bool resolve(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
}

// NVRTC opens its builtins by their bare name at the first compilation, and has no run path: outside of the
// loader's own folders they are found only when they are loaded already. Kept open, like NVRTC itself.
void load_builtins_beside(const void* nvrtc_function) {
    Dl_info info{};
    if (dladdr(nvrtc_function, &info) == 0 || info.dli_fname == nullptr) return;
    std::error_code error;
    const std::filesystem::path library = std::filesystem::canonical(info.dli_fname, error);
    for (std::filesystem::directory_iterator at(library.parent_path(), error), end; !error && at != end;
         at.increment(error)) {
        const std::string name = at->path().filename().string();
        if (name.starts_with("libnvrtc-builtins.so.")) dlopen(at->path().c_str(), RTLD_NOW | RTLD_LOCAL);
    }
}

// Opens one candidate, or says what is wrong with it.
Result<Nvrtc> open_one(const std::string& path) {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char* reason = dlerror();
        std::error_code error;
        bool is_missing = path.find('/') == path.npos || !std::filesystem::exists(path, error);
        return unavailable(is_missing || reason == nullptr ? path : fmt::format("{} ({})", path, reason));
    }
    Nvrtc nvrtc;
    nvrtc.path = path;
    int major = 0;
    int minor = 0;
    bool is_complete = resolve(library, "nvrtcCreateProgram", nvrtc.create_program) &&
                       resolve(library, "nvrtcDestroyProgram", nvrtc.destroy_program) &&
                       resolve(library, "nvrtcCompileProgram", nvrtc.compile_program) &&
                       resolve(library, "nvrtcGetProgramLogSize", nvrtc.log_bytes) &&
                       resolve(library, "nvrtcGetProgramLog", nvrtc.log) &&
                       resolve(library, "nvrtcGetPTXSize", nvrtc.ptx_bytes) &&
                       resolve(library, "nvrtcGetPTX", nvrtc.ptx) &&
                       resolve(library, "nvrtcGetCUBINSize", nvrtc.cubin_bytes) &&
                       resolve(library, "nvrtcGetCUBIN", nvrtc.cubin) &&
                       resolve(library, "nvrtcGetErrorString", nvrtc.error_text) &&
                       resolve(library, "nvrtcVersion", nvrtc.numeric_version);
    if (!is_complete || nvrtc.numeric_version(&major, &minor) != 0) {
        dlclose(library);
        return unavailable(path + " (not an NVRTC library)");
    }
    if (major < kMinMajor) {
        dlclose(library);
        return unavailable(fmt::format("{} (version {}.{}, needs {}.0)", path, major, minor, kMinMajor));
    }
    load_builtins_beside(reinterpret_cast<const void*>(nvrtc.numeric_version));
    nvrtc.version = patch_version(nvrtc, major, minor);
    return nvrtc;
}

}  // namespace

std::vector<std::string> nvrtc_candidates() {
    if (const char* named = std::getenv("WARPWRIGHT_NVRTC"); named != nullptr && *named != 0) return {named};

    std::vector<std::string> candidates;
    auto add = [&](std::string_view folder, std::string_view file) {
        if (!folder.empty()) candidates.push_back(fmt::format("{}/{}", folder, file));
    };
    if (*WW_NVRTC != 0) candidates.push_back(WW_NVRTC);
    candidates.emplace_back(kFile);
    for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
        const char* folder = std::getenv(variable);
        if (folder != nullptr && *folder != 0) add(std::string(folder) + "/lib64", kFile);
    }
    add("/usr/local/cuda/lib64", kFile);
    std::string own = own_directory();
    if (!own.empty()) {
        add(own, kFile);
        add(own + "/..", kWheelFile);         // installed from a wheel beside NVIDIA's
        add(own + "/../.local", kWheelFile);  // <repository>/build/warpwright
    }
    add(WW_LOCAL_DIR, kWheelFile);
    return candidates;
}

Result<Nvrtc> open_nvrtc(std::span<const std::string> candidates) {
    std::string tried;
    for (const std::string& path : candidates) {
        Result<Nvrtc> opened = open_one(path);
        if (opened.ok()) return opened;
        tried += (tried.empty() ? "" : ", ") + opened.status().message();
    }
    return unavailable("no NVRTC: looked for " + tried);
}

Result<const Nvrtc*> nvrtc() {
    static const Result<Nvrtc> opened = open_nvrtc(nvrtc_candidates());
    if (!opened.ok()) return opened.status();
    return &opened.value();
}

}  // namespace warpwright
