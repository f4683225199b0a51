// SPDX-License-Identifier: Apache-2.0
#include "inspect/knowledge/fingerprints.h"

#define TOML_HEADER_ONLY 1
#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <set>
#include <stdexcept>

#include "image/embedded.h"

namespace warpwright::inspect {
namespace {

[[noreturn]] void broken(std::string_view where, std::string_view what) {
    throw std::logic_error(fmt::format("data/fingerprints.toml: {}: {}", where, what));
}

std::string text_of(const toml::table& table, const char* key, std::string_view where) {
    const auto value = table[key].value<std::string>();
    if (!value || value->empty()) broken(where, fmt::format("no text '{}'", key));
    return *value;
}

std::vector<std::string> list_of(const toml::table& table, const char* key, std::string_view where) {
    std::vector<std::string> list;
    if (!table.contains(key)) return list;
    const toml::array* array = table[key].as_array();
    if (array == nullptr || array->empty()) broken(where, fmt::format("'{}' is no list of texts", key));
    for (const toml::node& node : *array) {
        const auto value = node.value<std::string>();
        if (!value || value->empty()) broken(where, fmt::format("'{}' has what is no text", key));
        list.push_back(*value);
    }
    return list;
}

void only_known_keys(const toml::table& table, std::initializer_list<std::string_view> known,
                     std::string_view where) {
    for (const auto& [key, value] : table) {
        if (std::find(known.begin(), known.end(), key.str()) == known.end())
            broken(where, fmt::format("unknown key '{}'", key.str()));
    }
}

Fingerprint read_library(const toml::table& table) {
    Fingerprint library;
    library.id = text_of(table, "id", "[[library]]");
    only_known_keys(table,
                    {"id", "name", "kernels", "strings", "files", "version", "works", "templates",
                     "headers_only", "source", "date"},
                    library.id);
    library.name = text_of(table, "name", library.id);
    library.kernels = list_of(table, "kernels", library.id);
    library.strings = list_of(table, "strings", library.id);
    library.files = list_of(table, "files", library.id);
    library.works = list_of(table, "works", library.id);
    library.version = table["version"].value_or(std::string());
    library.templates = table["templates"].value_or(false);
    library.headers_only = table["headers_only"].value_or(false);
    library.source = text_of(table, "source", library.id);
    const auto date = table["date"].value<toml::date>();
    if (!date) broken(library.id, "no date of its source");
    library.date = fmt::format("{:04}-{:02}-{:02}", date->year, date->month, date->day);
    if (library.kernels.empty() && library.strings.empty() && library.files.empty())
        broken(library.id, "nothing shows it");
    return library;
}

Work read_work(const toml::table& table) {
    Work work;
    work.id = text_of(table, "id", "[[work]]");
    only_known_keys(table, {"id", "name", "op", "problem", "kernels", "except", "needs"}, work.id);
    work.name = text_of(table, "name", work.id);
    work.op = text_of(table, "op", work.id);
    if (const toml::table* problem = table["problem"].as_table()) {
        for (const auto& [key, value] : *problem)
            work.problem.emplace_back(std::string(key.str()), text_of(*problem, key.data(), work.id));
    }
    work.kernels = list_of(table, "kernels", work.id);
    work.except = list_of(table, "except", work.id);
    work.needs = list_of(table, "needs", work.id);
    if (work.kernels.empty()) broken(work.id, "no kernel does it");
    return work;
}

// `owner` of each list's patterns is its number.
OwnedPatterns owned(const std::vector<const std::vector<std::string>*>& lists,
                    const std::vector<std::string>& versions) {
    OwnedPatterns result;
    std::vector<std::string> patterns;
    const auto add = [&](std::string pattern, std::size_t owner, bool versioned) {
        const bool anchored = pattern.starts_with('^');
        if (anchored) pattern.erase(0, 1);
        if (pattern.size() < PatternSet::kShortest) broken(pattern, "too short to be specific");
        patterns.push_back(std::move(pattern));
        result.owner.push_back(static_cast<u32>(owner));
        result.anchored.push_back(anchored);
        result.versioned.push_back(versioned);
    };
    for (std::size_t i = 0; i < lists.size(); ++i) {
        for (const std::string& pattern : *lists[i]) add(pattern, i, false);
        if (i < versions.size() && !versions[i].empty()) add(versions[i], i, true);
    }
    result.set = PatternSet(std::move(patterns));
    return result;
}

bool matches(std::string_view text, std::string_view glob) {
    // The last star takes the blame for what follows it: linear in practice, never exponential.
    std::size_t at = 0, in_glob = 0, star = std::string_view::npos, retry = 0;
    while (at < text.size()) {
        if (in_glob < glob.size() && glob[in_glob] == '*') {
            star = in_glob++;
            retry = at;
        } else if (in_glob < glob.size() && glob[in_glob] == text[at]) {
            ++in_glob;
            ++at;
        } else if (star != std::string_view::npos) {
            in_glob = star + 1;
            at = ++retry;
        } else {
            return false;
        }
    }
    while (in_glob < glob.size() && glob[in_glob] == '*') ++in_glob;
    return in_glob == glob.size();
}

}  // namespace

bool path_matches(std::string_view path, std::string_view glob) {
    std::size_t begin = 0;
    while (true) {
        if (matches(path.substr(begin), glob)) return true;
        const std::size_t slash = path.find('/', begin);
        if (slash == std::string_view::npos) return false;
        begin = slash + 1;
    }
}

Fingerprints parse_fingerprints(std::string_view text) {
    Fingerprints result;
    toml::table root;
    try {
        root = toml::parse(text);
    } catch (const toml::parse_error& error) {
        broken("the file", error.description());
    }
    only_known_keys(root, {"library", "work", "runtime", "begin", "end"}, "the file");
    result.begin = {text_of(root, "begin", "the file")};
    result.end = {"# " + text_of(root, "end", "the file")};
    std::set<std::string> ids;
    for (const char* list : {"library", "work"}) {
        const toml::array* array = root[list].as_array();
        if (array == nullptr || !array->is_array_of_tables()) broken(list, "no such tables");
        const bool is_library = std::string_view(list) == "library";
        for (const toml::node& node : *array) {
            const toml::table& table = *node.as_table();
            if (is_library)
                result.libraries.push_back(read_library(table));
            else
                result.works.push_back(read_work(table));
            const std::string& id = is_library ? result.libraries.back().id : result.works.back().id;
            if (!ids.insert(fmt::format("{} {}", list, id)).second) broken(id, "twice");
        }
    }
    std::vector<const std::vector<std::string>*> kernels, strings, works;
    std::vector<std::string> versions;
    for (const Fingerprint& library : result.libraries) {
        kernels.push_back(&library.kernels);
        strings.push_back(&library.strings);
        versions.push_back(library.version);
    }
    const toml::table* runtime = root["runtime"].as_table();
    if (runtime == nullptr) broken("runtime", "no such table");
    only_known_keys(*runtime, {"compilers", "linkers", "loaders"}, "runtime");
    for (int i = 0; i < kNumRuntimeCodes; ++i) {
        const char* keys[] = {"compilers", "linkers", "loaders"};
        result.runtime[i] = list_of(*runtime, keys[i], "runtime");
        strings.push_back(&result.runtime[i]);
    }
    strings.push_back(&result.begin);
    strings.push_back(&result.end);
    for (const Work& work : result.works) works.push_back(&work.kernels);
    result.kernels = owned(kernels, {});
    result.strings = owned(strings, versions);
    result.work_kernels = owned(works, {});
    return result;
}

const Fingerprint* Fingerprints::find(std::string_view id) const {
    for (const Fingerprint& library : libraries) {
        if (library.id == id) return &library;
    }
    return nullptr;
}

std::optional<std::size_t> Fingerprints::work_of(std::string_view kernel) const {
    std::size_t best = works.size();
    work_kernels.set.scan(kernel, [&](u32 pattern, std::size_t offset) {
        if (work_kernels.anchored[pattern] && offset != 0) return;
        const Work& work = works[work_kernels.owner[pattern]];
        const auto is_part = [&](const std::string& word) {
            return kernel.find(word) != std::string_view::npos;
        };
        if (std::any_of(work.except.begin(), work.except.end(), is_part)) return;
        if (!work.needs.empty() && std::none_of(work.needs.begin(), work.needs.end(), is_part)) return;
        best = std::min<std::size_t>(best, work_kernels.owner[pattern]);
    });
    return best == works.size() ? std::nullopt : std::optional(best);
}

const Fingerprints& fingerprints() {
    static const Fingerprints list = [] {
        for (const EmbeddedFile& file : embedded_data()) {
            if (file.path == "data/fingerprints.toml") return parse_fingerprints(file.text);
        }
        broken("the file", "not compiled into the program");
    }();
    return list;
}

}  // namespace warpwright::inspect
