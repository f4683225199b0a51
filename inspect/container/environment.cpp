// SPDX-License-Identifier: Apache-2.0
// Where Python and JIT compilers keep device code. Places and variables are those of the programs' own
// sources: triton knobs.py; flashinfer jit/env.py; DeepGEMM and DeepEP csrc/jit; CUTLASS
// base_dsl/cache_helpers.py; the CUDA programming guide's environment variables. What their entries are made
// of is found by content.
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string_view>

#include "inspect/container/files.h"

namespace warpwright::inspect {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDownloaded = "FlashInfer cubins";

bool is_folder(const fs::path& path) {
    std::error_code error;
    return fs::is_directory(path, error);
}

std::vector<fs::path> folders_in(const fs::path& folder) {
    std::vector<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        if (is_folder(at->path())) found.push_back(at->path());
    }
    std::sort(found.begin(), found.end());
    return found;
}

// Folders once, whatever links lead to them.
class FolderList {
public:
    void add(const fs::path& folder) {
        std::error_code error;
        const fs::path real = fs::canonical(folder, error);
        if (!error && is_folder(real) && seen_.insert(real).second) paths_.push_back(folder.string());
    }
    std::vector<std::string>& paths() { return paths_; }

private:
    std::set<fs::path> seen_;
    std::vector<std::string> paths_;
};

// Editable installations: a .pth file names the folder of the sources, a line each. Lines of code begin with
// "import".
void add_editable(const fs::path& packages, FolderList& found) {
    std::error_code error;
    std::vector<fs::path> files;
    for (fs::directory_iterator at(packages, error), end; !error && at != end; at.increment(error)) {
        if (at->path().extension() == ".pth" && fs::is_regular_file(at->path(), error))
            files.push_back(at->path());
    }
    std::sort(files.begin(), files.end());
    constexpr int kMaxLines = 1000;
    for (const fs::path& file : files) {
        std::ifstream lines(file);
        std::string line;
        for (int i = 0; i < kMaxLines && std::getline(lines, line); ++i) {
            while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
            if (line.empty() || line.starts_with('#') || line.starts_with("import ") ||
                line.starts_with("import\t"))
                continue;
            found.add(packages / line);
        }
    }
}

const char* environment(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0' ? value : nullptr;
}

fs::path home() {
    if (const char* value = environment("HOME")) return value;
    const passwd* user = getpwuid(getuid());
    return user != nullptr && user->pw_dir != nullptr ? user->pw_dir : "/";
}

std::string user_name() {
    if (const char* value = environment("USER")) return value;
    const passwd* user = getpwuid(getuid());
    return user != nullptr && user->pw_name != nullptr ? user->pw_name : std::to_string(getuid());
}

// The variable's folder, or the usual one.
fs::path folder_of(const char* variable, const fs::path& usual) {
    const char* value = environment(variable);
    return value != nullptr ? fs::path(value) : usual;
}

}  // namespace

Result<std::vector<std::string>> environment_paths(const std::string& folder) {
    if (!is_folder(folder))
        return caller_error(
            fmt::format("{}: expected the folder of a Python environment, found none", folder));
    const fs::path root(folder);
    FolderList found;
    const auto add_packages = [&](const fs::path& packages) {
        if (!is_folder(packages)) return;
        found.add(packages);
        add_editable(packages, found);
    };
    for (const char* lib : {"lib", "lib64"}) {
        for (const fs::path& python : folders_in(root / lib)) {
            if (!python.filename().string().starts_with("python")) continue;
            add_packages(python / "site-packages");
            add_packages(python / "dist-packages");  // Debian's name
        }
    }
    add_packages(root / "Lib" / "site-packages");
    // conda puts CUDA's libraries beside Python.
    if (is_folder(root / "conda-meta")) {
        found.add(root / "lib");
        found.add(root / "targets");
    }
    const std::string name = root.lexically_normal().filename().empty()
                                 ? root.lexically_normal().parent_path().filename()
                                 : root.lexically_normal().filename();
    if (found.paths().empty() && (name == "site-packages" || name == "dist-packages")) add_packages(root);
    if (found.paths().empty()) {
        return caller_error(
            fmt::format("{}: expected a virtual environment, a prefix or site-packages, found no "
                        "lib/python*/site-packages in it",
                        folder));
    }
    return std::move(found.paths());
}

std::vector<JitCache> jit_caches() {
    const fs::path flashinfer = folder_of("FLASHINFER_WORKSPACE_BASE", home()) / ".cache" / "flashinfer";
    std::error_code error;
    fs::path temporary = fs::temp_directory_path(error);
    if (error) temporary = "/tmp";
    const std::pair<const char*, fs::path> places[] = {
        {"Triton", folder_of("TRITON_CACHE_DIR", folder_of("TRITON_HOME", home()) / ".triton" / "cache")},
        {"FlashInfer", flashinfer},
        {kDownloaded, folder_of("FLASHINFER_CUBIN_DIR", flashinfer / "cubins")},
        {"DeepGEMM", folder_of("DG_JIT_CACHE_DIR", home() / ".deep_gemm")},
        {"DeepEP", folder_of("EP_JIT_CACHE_DIR", home() / ".deep_ep")},
        {"CuTe DSL", folder_of("CUTE_DSL_CACHE_DIR", temporary / user_name() / "cutlass_python_cache")},
        {"PyTorch Inductor",
         folder_of("TORCHINDUCTOR_CACHE_DIR", temporary / ("torchinductor_" + user_name()))},
        {"CUDA's driver", folder_of("CUDA_CACHE_PATH", home() / ".nv" / "ComputeCache")},
    };
    std::vector<JitCache> found;
    for (const auto& [name, path] : places) {
        const bool is_inside = std::any_of(found.begin(), found.end(), [&path = path](const JitCache& other) {
            return path.lexically_normal().string().starts_with(
                fs::path(other.path).lexically_normal().string() + "/");
        });
        if (!is_inside && is_folder(path)) found.push_back({name, path.string()});
    }
    return found;
}

std::string jit_cache_of(const std::string& path) {
    constexpr std::pair<const char*, const char*> kFolders[] = {
        {"/.triton/cache/", "Triton"},
        {"/.cache/flashinfer/", "FlashInfer"},
        {"/.deep_gemm/", "DeepGEMM"},
        {"/.deep_ep/", "DeepEP"},
        {"/cutlass_python_cache/", "CuTe DSL"},
        {"/torchinductor_", "PyTorch Inductor"},
        {"/.nv/ComputeCache/", "CUDA's driver"},
    };
    std::error_code error;
    const fs::path absolute = fs::absolute(path, error);
    if (error) return {};
    const std::string text = absolute.lexically_normal().string();
    const auto is_inside = [&](const fs::path& folder) {
        return text.starts_with((fs::absolute(folder, error) / "").lexically_normal().string());
    };
    if (text.find("/.cache/flashinfer/cubins/") != std::string::npos) return {};
    const std::vector<JitCache> caches = jit_caches();
    const auto cache =
        std::ranges::find_if(caches, [&](const JitCache& place) { return is_inside(place.path); });
    if (cache != caches.end()) return cache->name == kDownloaded ? "" : cache->name;
    for (const auto& [folder, name] : kFolders) {
        if (text.find(folder) != std::string::npos) return name;
    }
    return {};
}

}  // namespace warpwright::inspect
