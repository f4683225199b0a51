// SPDX-License-Identifier: Apache-2.0
#include "inspect/toolkit.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <sstream>

namespace warpwright::inspect {

namespace {

namespace fs = std::filesystem;

// Of this process; gone with it.
class Folder {
public:
    Folder() {
        std::string pattern = fs::temp_directory_path() / "inspect-XXXXXX";
        if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
    }
    ~Folder() {
        std::error_code ignored;
        if (!path_.empty()) fs::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::string write(const std::string& name, std::string_view content) const {
        const fs::path path = path_ / name;
        std::ofstream(path, std::ios::binary) << content;
        return path;
    }
    std::string path(const std::string& name) const { return path_ / name; }

private:
    fs::path path_;
};

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// Runs the command with "IN" and "OUT" as files in a folder; the result is kept by command and content.
Sample make(std::string_view command, const std::vector<std::string>& inputs, const std::string& suffix,
            bool has_output = true) {
    static std::mutex mutex;
    static std::map<std::string, Sample> made;
    static int count = 0;
    static const Folder folder;
    const std::lock_guard lock(mutex);
    std::string key(command);
    for (const std::string& input : inputs) key += '\n' + input;
    const auto found = made.find(key);
    if (found != made.end()) return found->second;

    const std::string stem = std::to_string(count++);
    std::string line(command);
    for (size_t i = 0; i < inputs.size(); ++i)
        line += " " + folder.write(stem + "_" + std::to_string(i) + suffix, inputs[i]);
    const std::string output = folder.path(stem + ".out");
    const std::string log = folder.path(stem + ".log");
    if (has_output) line += " -o " + output;
    line += " >" + log + " 2>&1";
    Sample sample;
    sample.exit_code = std::system(line.c_str());  // NOLINT: one test at a time
    sample.bytes = read_file(output);
    sample.log = read_file(log);
    for (const std::string& path : {output, log}) {
        std::error_code ignored;
        fs::remove(path, ignored);
    }
    return made.emplace(std::move(key), std::move(sample)).first->second;
}

}  // namespace

std::string toolkit_program(std::string_view name) {
    std::vector<fs::path> folders{"/usr/local/cuda/bin"};
    const char* path = std::getenv("PATH");
    std::istringstream parts(path == nullptr ? "" : path);
    for (std::string part; std::getline(parts, part, ':');) folders.emplace_back(part);
    for (const fs::path& folder : folders) {
        const fs::path candidate = folder / name;
        if (access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    return "";
}

const std::vector<std::string>& toolkit_targets() {
    static const std::vector<std::string> targets = {
        "sm_75",   "sm_80",   "sm_86",   "sm_87",   "sm_88",   "sm_89",   "sm_90",  "sm_90a",
        "sm_100",  "sm_100a", "sm_100f", "sm_103",  "sm_103a", "sm_103f", "sm_110", "sm_110a",
        "sm_110f", "sm_120",  "sm_120a", "sm_120f", "sm_121",  "sm_121a", "sm_121f"};
    return targets;
}

std::optional<Sample> assemble(std::string_view ptx, std::string_view target, std::string_view options) {
    const std::string program = toolkit_program("ptxas");
    if (program.empty()) return std::nullopt;
    const std::string command = program + " -v -arch=" + std::string(target) + " " + std::string(options);
    return make(command, {std::string(ptx)}, ".ptx");
}

std::optional<Sample> compile_sample(std::string_view source, std::string_view options) {
    const std::string program = toolkit_program("nvcc");
    if (program.empty()) return std::nullopt;
    return make(program + " " + std::string(options), {std::string(source)}, ".cu");
}

std::optional<Sample> link_sample(const std::vector<std::string>& cubins, std::string_view target) {
    const std::string program = toolkit_program("nvlink");
    if (program.empty()) return std::nullopt;
    return make(program + " -arch=" + std::string(target), cubins, ".cubin");
}

std::optional<std::string> printed_by(const std::string& program, std::string_view options,
                                      const std::string& cubin) {
    const std::string path = toolkit_program(program);
    if (path.empty()) return std::nullopt;
    const Sample sample = make(path + " " + std::string(options), {cubin}, ".cubin", false);
    return sample.exit_code == 0 ? std::optional(sample.log) : std::nullopt;
}

}  // namespace warpwright::inspect
