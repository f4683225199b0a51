// SPDX-License-Identifier: Apache-2.0
#include "inspect/machine/packages.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <unordered_map>

#include "inspect/inspect.h"
#include "inspect/knowledge/drivers.h"

namespace warpwright::inspect {
namespace {

namespace fs = std::filesystem;

struct Distribution {
    std::string name, version;
    bool operator<(const Distribution& other) const {
        return std::tie(name, version) < std::tie(other.name, other.version);
    }
};

// "vllm-0.11.0.dist-info" -> vllm, 0.11.0.
std::optional<Distribution> distribution_of(const fs::path& folder) {
    constexpr std::string_view kEnding = ".dist-info";
    std::string name = folder.filename().string();
    if (!name.ends_with(kEnding)) return std::nullopt;
    name.resize(name.size() - kEnding.size());
    const size_t dash = name.find('-');
    std::string package = name.substr(0, dash);
    std::ranges::replace_if(
        package, [](char c) { return c == '-' || c == '.'; }, '_');
    std::ranges::transform(package, package.begin(), [](unsigned char c) { return std::tolower(c); });
    return Distribution{package, dash == std::string::npos ? "" : name.substr(dash + 1)};
}

// Who installed a file: the RECORD of each distribution lists its files, relative to the folder of packages.
class Owners {
public:
    explicit Owners(const fs::path& packages) {
        std::error_code error;
        for (fs::directory_iterator it(packages, error), end; !error && it != end; it.increment(error)) {
            const auto distribution = distribution_of(it->path());
            if (!distribution) continue;
            std::ifstream record(it->path() / "RECORD");  // "vllm/_C.abi3.so,sha256=...,123"
            for (std::string line; std::getline(record, line);) {
                const size_t comma = line.find(',');
                if (comma != std::string::npos) owners_.emplace(line.substr(0, comma), *distribution);
            }
        }
    }
    // Without a record, a package is what its folder or file is called.
    Distribution of(const std::string& relative) const {
        if (const auto found = owners_.find(relative); found != owners_.end()) return found->second;
        return {relative.substr(0, relative.find_first_of("/.")), ""};
    }

private:
    std::unordered_map<std::string, Distribution> owners_;
};

// Models of GPU in the machine, each once.
std::vector<Target> models_of(const Machine& machine) {
    std::vector<Target> models;
    for (const GpuInfo& gpu : machine.gpus) {
        if (std::ranges::find(models, gpu.target.id, &Target::id) == models.end())
            models.push_back(gpu.target);
    }
    return models;
}

// "site-packages/vllm/x.zip!/y.so" below "site-packages" -> "vllm/x.zip"; empty: elsewhere.
std::string relative_to(const std::string& path, const std::string& folder) {
    if (!path.starts_with(folder) || path.size() <= folder.size() || path[folder.size()] != '/') return {};
    const std::string below = path.substr(folder.size() + 1);
    return below.substr(0, below.find("!/"));
}

// Images that tell no kernels, such as the one of libcufftw, say nothing of what a call would do.
bool has_kernels(const FileReport& file) {
    return std::ranges::any_of(file.verdicts, [](const Verdict& verdict) {
        return verdict.num_kernels > 0 || verdict.num_missing > 0;
    });
}

void add_packages(const Report& report, const std::string& folder, Machine& machine) {
    const Owners owners(folder);
    std::map<Distribution, std::vector<const FileReport*>> packages;
    for (const FileReport& file : report.files) {
        const std::string relative = relative_to(file.path, folder);
        if (!relative.empty() && has_kernels(file)) packages[owners.of(relative)].push_back(&file);
    }
    for (const auto& [distribution, files] : packages) {
        const auto known =
            std::ranges::find_if(machine.packages, [&, &name = distribution.name](const auto& package) {
                return package.name == name && package.path == folder;
            });
        PackageInfo& package = known != machine.packages.end() ? *known : machine.packages.emplace_back();
        package = {distribution.name, distribution.version, folder, verdicts_of(files)};
    }
}

}  // namespace

std::vector<PackageVerdict> verdicts_of(const std::vector<const FileReport*>& files) {
    std::vector<PackageVerdict> verdicts;
    const size_t num_targets = files.empty() ? 0 : files.front()->verdicts.size();
    for (size_t i = 0; i < num_targets; ++i) {
        PackageVerdict all;
        all.target = files.front()->verdicts[i].target;
        all.num_files = static_cast<int>(files.size());
        int num_partly = 0;
        bool all_native = true;
        for (const FileReport* file : files) {
            const Verdict& verdict = file->verdicts[i];
            num_partly += verdict.runs == Runs::partly ? 1 : 0;
            all_native &= verdict.runs == Runs::native;
            if (verdict.runs != Runs::no && verdict.runs != Runs::stub) continue;
            if (all.num_bad++ == 0) {
                all.text = verdict.text;
                all.fix = verdict.fix;
            }
        }
        if (all.num_bad == all.num_files)
            all.runs = "no";
        else if (all.num_bad + num_partly > 0)
            all.runs = "partly";
        else
            all.runs = all_native ? "native" : "jit";
        verdicts.push_back(std::move(all));
    }
    return verdicts;
}

Status judge_packages(const std::vector<std::string>& environments, Machine& machine,
                      const std::function<void(u64, u64)>& progress) {
    InspectOptions how;
    how.targets = models_of(machine);
    how.progress = progress;
    if (how.targets.empty())
        return caller_error(
            "--packages: no GPU here to judge for; 'warpwright inspect --environment DIR --gpu T' judges for "
            "any");
    how.judge.driver = parse_driver(machine.driver_release).value_or(0);
    std::vector<std::string> folders;
    for (const std::string& environment : environments) {
        WW_ASSIGN(const auto found, environment_paths(environment));
        for (const std::string& folder : found)
            if (std::ranges::find(folders, folder) == folders.end()) folders.push_back(folder);
    }
    WW_ASSIGN(const Report report, inspect_paths(folders, how));
    for (const std::string& folder : folders) add_packages(report, folder, machine);
    return {};
}

}  // namespace warpwright::inspect
