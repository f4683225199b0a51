// SPDX-License-Identifier: Apache-2.0
#include "image/sources.h"

#include <algorithm>
#include <set>
#include <utility>

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

// The text with every table, marker lines included, replaced by what `edit` makes of it.
template <class Edit>
std::string edit_tables(std::string_view text, Edit edit) {
    std::string result;
    std::string table;
    bool in_table = false;
    while (!text.empty()) {
        const std::string_view line = take_line(text);
        if (line.find("// rows:begin") != line.npos) in_table = true;
        (in_table ? table : result) += line;
        if (line.find("// rows:end") != line.npos || (in_table && text.empty())) {
            result += edit(table);
            table.clear();
            in_table = false;
        }
    }
    return result;
}

// The end of a comment or string literal that starts at `at`; `at` itself where neither does.
std::size_t skip_opaque(std::string_view text, std::size_t at) {
    if (text.substr(at, 2) == "//") return std::min(text.find('\n', at), text.size());
    if (text[at] != '"') return at;
    std::size_t end = at + 1;
    while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
    return std::min(end + 1, text.size());
}

std::string table_with_only_row(const std::string& table, std::string_view row, bool& found) {
    const std::string name = fmt::format("\"{}\"", row);
    int depth = 0;
    bool has_name = false;  // of the current group: its first string literal
    std::size_t rows_begin = 0, group_begin = 0, kept_begin = 0, kept_end = 0;
    for (std::size_t at = 0; at < table.size(); ++at) {
        if (const std::size_t end = skip_opaque(table, at); end != at) {
            if (table[at] == '"' && depth == 2 && !std::exchange(has_name, true)) {
                if (table.compare(at, end - at, name) == 0) kept_begin = group_begin;
            }
            at = end - 1;
        } else if (table[at] == '{') {
            ++depth;
            if (depth == 1) rows_begin = at + 1;
            if (depth == 2) {
                group_begin = at;
                has_name = false;
            }
        } else if (table[at] == '}') {
            --depth;
            if (depth == 1 && kept_begin != 0 && kept_end == 0) kept_end = at + 1;
            if (depth == 0 && kept_end != 0) {
                found = true;
                return table.substr(0, rows_begin) + table.substr(kept_begin, kept_end - kept_begin) +
                       table.substr(at);
            }
        }
    }
    return table;
}

}  // namespace

std::string without_row_tables(std::string_view text) {
    return edit_tables(text, [](const std::string&) { return std::string(); });
}

std::string with_only_row(std::string_view text, std::string_view row, bool& found) {
    return edit_tables(text,
                       [&](const std::string& table) { return table_with_only_row(table, row, found); });
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
