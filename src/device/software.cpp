// SPDX-License-Identifier: Apache-2.0
// The CUDA software of this machine: NVRTC libraries, toolkits, Python packages.
#include <dlfcn.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "device/advice.h"
#include "device/folder_entries.h"
#include "device/machine.h"

namespace warpwright {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNvrtcNames[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};

bool starts_with(const fs::path& path, std::string_view prefix) {
    return path.filename().string().rfind(prefix, 0) == 0;
}

// Libraries found so far, each file once, however many names lead to it.
class NvrtcList {
public:
    void add_file(const fs::path& path) {
        std::error_code error;
        const fs::path real = fs::canonical(path, error);
        if (error || !seen_.insert(real.string()).second) return;
        add(path.string());
    }
    void add_folder(const fs::path& folder) {
        for (const char* name : kNvrtcNames) add_file(folder / name);
    }
    // Below `folder`, up to a depth that holds an unpacked wheel.
    void add_tree(const fs::path& folder, int depth) {
        add_folder(folder);
        std::error_code error;
        for (const fs::path& entry : folder_entries(folder)) {
            if (depth > 0 && fs::is_directory(fs::symlink_status(entry, error))) add_tree(entry, depth - 1);
        }
    }
    // site-packages: the wheels of CUDA 13 share one folder, those of CUDA 12 have one each.
    void add_site_packages(const fs::path& folder) {
        add_folder(folder / "nvidia" / "cu13" / "lib");
        add_folder(folder / "nvidia" / "cuda_nvrtc" / "lib");
    }
    // What dlopen finds by itself: the cache of ldconfig, a run path.
    void add_by_name(const char* name) {
        void* library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
        if (library == nullptr) return;
        Dl_info info{};
        void* symbol = dlsym(library, "nvrtcVersion");
        if (symbol != nullptr && dladdr(symbol, &info) != 0 && info.dli_fname != nullptr)
            add_file(info.dli_fname);
        dlclose(library);
    }

    std::vector<NvrtcInfo> take() { return std::move(found_); }

private:
    void add(const std::string& path) {
        NvrtcInfo info;
        info.path = path;
        void* library = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
        if (library == nullptr) {
            const char* reason = dlerror();
            info.problem = reason == nullptr ? "does not load" : reason;
        } else {
            const auto version = reinterpret_cast<int (*)(int*, int*)>(dlsym(library, "nvrtcVersion"));
            if (version == nullptr || version(&info.major, &info.minor) != 0)
                info.problem = "does not tell its version";
            dlclose(library);
        }
        found_.push_back(std::move(info));
    }

    std::set<std::string> seen_;
    std::vector<NvrtcInfo> found_;
};

// "13.0.2" of version.json's {"cuda": {"name": ..., "version": "13.0.2"}, ...}.
std::string version_json_of(const fs::path& toolkit) {
    std::ifstream file(toolkit / "version.json");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::size_t at = text.find("\"cuda\"");
    for (const std::string_view mark : {"\"version\"", ":", "\""}) {
        if (at != std::string::npos) at = text.find(mark, at);
        if (at != std::string::npos) at += mark.size();
    }
    if (at == std::string::npos) return {};
    return text.substr(at, text.find('"', at) - at);
}

// "13.0" of "#define CUDA_VERSION 13000": what distributions' packages leave in place of the file above.
std::string header_version_of(const fs::path& toolkit) {
    std::ifstream file(toolkit / "include" / "cuda.h");
    for (std::string line; std::getline(file, line);) {
        constexpr std::string_view kDefine = "#define CUDA_VERSION ";
        if (!line.starts_with(kDefine)) continue;
        const int version = std::atoi(line.c_str() + kDefine.size());
        return version <= 0 ? std::string{} : fmt::format("{}.{}", version / 1000, version % 1000 / 10);
    }
    return {};
}

std::string toolkit_version(const fs::path& toolkit) {
    std::string version = version_json_of(toolkit);
    return version.empty() ? header_version_of(toolkit) : version;
}

ToolkitInfo read_toolkit(const fs::path& folder) {
    std::error_code error;
    return {folder.string(), toolkit_version(folder), fs::exists(folder / "bin" / "nvcc", error)};
}

// "Flash-Attn" and "flash_attn" are one package: PyPA's name normalization, with underscores.
std::string normalized(std::string_view name) {
    std::string text;
    for (const char c : name) {
        const bool separates = c == '-' || c == '_' || c == '.';
        if (separates && (text.empty() || text.back() == '_')) continue;
        text += separates ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return text;
}

// Entries of a variable such as PATH.
std::vector<std::string> folders_of(const char* variable) {
    std::vector<std::string> folders;
    const char* value = std::getenv(variable);
    std::string_view rest = value == nullptr ? "" : value;
    while (!rest.empty()) {
        const std::string_view folder = rest.substr(0, rest.find(':'));
        if (!folder.empty()) folders.emplace_back(folder);
        rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    }
    return folders;
}

}  // namespace

std::vector<NvrtcInfo> find_nvrtc(const std::string& project_directory) {
    NvrtcList list;
    list.add_tree(fs::path(project_directory) / ".local", 7);
    for (const std::string& folder : folders_of("LD_LIBRARY_PATH")) list.add_folder(folder);
    for (const char* name : kNvrtcNames) list.add_by_name(name);
    for (const ToolkitInfo& toolkit : find_toolkits()) {
        list.add_folder(fs::path(toolkit.path) / "lib64");
        list.add_folder(fs::path(toolkit.path) / "lib");
    }
    for (const std::string& folder : python_folders()) list.add_site_packages(folder);
    return list.take();
}

std::vector<ToolkitInfo> find_toolkits(const std::string& root) {
    std::vector<ToolkitInfo> found;
    std::set<std::string> seen;
    std::error_code error;
    for (const fs::path& entry : folder_entries(root)) {
        if (!starts_with(entry, "cuda") || !fs::is_directory(entry, error)) continue;
        if (!seen.insert(fs::canonical(entry, error).string()).second) continue;
        found.push_back(read_toolkit(entry));
    }
    return found;
}

void add_toolkit_on_path(std::vector<ToolkitInfo>& toolkits) {
    std::error_code error;
    for (const std::string& folder : folders_of("PATH")) {
        const fs::path nvcc = fs::canonical(fs::path(folder) / "nvcc", error);
        if (error) continue;
        const fs::path toolkit = nvcc.parent_path().parent_path();
        const bool is_known = std::ranges::any_of(toolkits, [&](const ToolkitInfo& known) {
            std::error_code unreadable;
            return fs::equivalent(known.path, toolkit, unreadable);
        });
        if (!is_known) toolkits.push_back(read_toolkit(toolkit));
        return;  // the others are not called
    }
}

std::vector<std::string> python_folders() {
    std::vector<fs::path> prefixes;
    for (const char* variable : {"VIRTUAL_ENV", "CONDA_PREFIX"})
        if (const char* prefix = std::getenv(variable)) prefixes.emplace_back(prefix);
    // The interpreter that would run: of a virtual environment, where it is a link to another one.
    for (const std::string& folder : folders_of("PATH")) {
        std::error_code error;
        if (!fs::exists(fs::path(folder) / "python3", error)) continue;
        prefixes.push_back(fs::path(folder).parent_path());
        break;
    }
    if (const char* home = std::getenv("HOME")) prefixes.push_back(fs::path(home) / ".local");
    prefixes.insert(prefixes.end(), {"/usr/local", "/usr"});
    std::vector<std::string> folders;
    std::set<std::string> seen;
    for (const fs::path& prefix : prefixes) {
        for (const fs::path& python : folder_entries(prefix / "lib")) {
            if (!starts_with(python, "python3")) continue;
            for (const char* name : {"site-packages", "dist-packages"}) {
                std::error_code error;
                const fs::path folder = python / name;
                const fs::path real = fs::canonical(folder, error);
                if (!error && fs::is_directory(real, error) && seen.insert(real.string()).second)
                    folders.push_back(folder.string());
            }
        }
    }
    return folders;
}

std::vector<PackageInfo> find_packages(const std::vector<std::string>& folders) {
    constexpr std::string_view kEnding = ".dist-info";
    std::vector<PackageInfo> found;
    for (const std::string& folder : folders) {
        for (const fs::path& entry : folder_entries(folder)) {
            std::string name = entry.filename().string();  // "flash_attn-2.8.3.dist-info"
            if (!name.ends_with(kEnding)) continue;
            name.resize(name.size() - kEnding.size());
            const size_t dash = name.find('-');
            const std::string package = normalized(name.substr(0, dash));
            if (std::ranges::find(known_packages(), package) == known_packages().end()) continue;
            found.push_back({package, dash == std::string::npos ? "" : name.substr(dash + 1), folder, {}});
        }
    }
    return found;
}

}  // namespace warpwright
