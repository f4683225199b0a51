// SPDX-License-Identifier: Apache-2.0
#include "image/sources.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "image/sha256.h"

namespace warpwright {
namespace {

constexpr std::string_view kRoots[] = {"src/", "include/"};

std::string_view without_root(std::string_view path) {
    for (std::string_view root : kRoots) {
        if (path.starts_with(root)) return path.substr(root.size());
    }
    return path;
}

std::string_view take_line(std::string_view& text) {
    std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end == text.npos ? end : end + 1);
    text.remove_prefix(line.size());
    return line;
}

std::string_view trim_left(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    return text;
}

// The name in `#include "name"`, or nothing.
std::string_view quoted_include(std::string_view line) {
    line = trim_left(line);
    if (!line.starts_with('#')) return {};
    line = trim_left(line.substr(1));
    if (!line.starts_with("include")) return {};
    line = trim_left(line.substr(7));
    if (!line.starts_with('"')) return {};
    line.remove_prefix(1);
    std::size_t end = line.find('"');
    return end == line.npos ? std::string_view{} : line.substr(0, end);
}

}  // namespace

std::string without_row_tables(std::string_view text) {
    std::string kept;
    bool in_table = false;
    while (!text.empty()) {
        std::string_view line = take_line(text);
        if (line.find("// rows:begin") != line.npos) in_table = true;
        if (!in_table) kept += line;
        if (line.find("// rows:end") != line.npos) in_table = false;
    }
    return kept;
}

const KernelSources& KernelSources::embedded() {
    static const KernelSources sources(embedded_kernels());
    return sources;
}

const EmbeddedFile* KernelSources::find(std::string_view include_name) const {
    for (std::string_view root : kRoots) {
        for (const EmbeddedFile& file : files_) {
            if (file.path.starts_with(root) && file.path.substr(root.size()) == include_name) return &file;
        }
    }
    return nullptr;
}

Result<std::shared_ptr<const SourceClosure>> KernelSources::closure(std::string_view source) const {
    std::lock_guard lock(mutex_);
    if (auto known = closures_.find(source); known != closures_.end()) return known->second;

    auto closure = std::make_shared<SourceClosure>();
    std::vector<std::string> names{std::string(without_root(source))};
    std::set<std::string, std::less<>> seen{names[0]};
    Sha256 hash;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const EmbeddedFile* file = find(names[i]);
        if (file == nullptr && i == 0) {
            return unavailable(fmt::format("kernel source {} is not compiled into this library", source));
        }
        hash.field(names[i]).field(file == nullptr ? "absent" : without_row_tables(file->text));
        if (file == nullptr) continue;
        closure->files.push_back({names[i], std::string(file->text)});
        std::string_view text = file->text;
        while (!text.empty()) {
            std::string_view name = quoted_include(take_line(text));
            if (!name.empty() && seen.emplace(name).second) names.emplace_back(name);
        }
    }
    closure->digest = short_digest(hash);
    closures_.emplace(source, closure);
    return std::shared_ptr<const SourceClosure>(closure);
}

}  // namespace warpwright
