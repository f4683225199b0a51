// SPDX-License-Identifier: Apache-2.0
#include "device/data_table.h"

#define TOML_HEADER_ONLY 1
#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <stdexcept>

#include "image/embedded.h"

namespace warpwright {
namespace {

[[noreturn]] void flaw(std::string_view where, std::string_view what) {
    throw std::logic_error(fmt::format("{}: {}", where, what));
}

// The table's texts and lists of texts; anything else is a flaw.
DataTable::Values values_of(const toml::table& table, std::string_view where) {
    DataTable::Values values;
    for (const auto& [key, node] : table) {
        const std::string name(key.str());
        std::vector<std::string>& list = values[name];
        const auto add = [&](const toml::node& entry) {
            const auto text = entry.value<std::string>();
            if (!text || text->empty()) flaw(where, fmt::format("'{}' is no text", name));
            list.push_back(*text);
        };
        if (const toml::array* array = node.as_array()) {
            for (const toml::node& entry : *array) add(entry);
        } else {
            add(node);
        }
    }
    return values;
}

}  // namespace

void DataTable::broken(const std::string& what) const {
    flaw(where_, what);
}

std::vector<std::string> DataTable::texts(std::string_view key) {
    known_.emplace(key);
    const auto found = values_.find(key);
    if (found == values_.end() || found->second.empty()) broken(fmt::format("'{}' is missing", key));
    return found->second;
}

std::string DataTable::text(std::string_view key) {
    const std::vector<std::string> values = texts(key);
    if (values.size() != 1) broken(fmt::format("'{}': expected one text, got {}", key, values.size()));
    return values.front();
}

std::string DataTable::one_of(std::string_view key, const std::vector<std::string_view>& names) {
    std::string value = text(key);
    if (std::ranges::find(names, value) == names.end())
        broken(fmt::format("'{}' cannot be '{}'", key, value));
    return value;
}

std::string DataTable::date(std::string_view key) {
    std::string value = text(key);
    constexpr std::string_view kForm = "0000-00-00";
    const bool fits = std::ranges::equal(
        value, kForm, [](char c, char form) { return form == '-' ? c == '-' : c >= '0' && c <= '9'; });
    if (!fits) broken(fmt::format("'{}': expected YYYY-MM-DD, got '{}'", key, value));
    return value;
}

void DataTable::finish() const {
    for (const auto& [key, values] : values_)
        if (!known_.contains(key)) broken(fmt::format("unknown key '{}'", key));
}

void for_each_table(std::string_view path, std::string_view text, const char* name,
                    const std::function<void(DataTable&)>& read) {
    try {
        const toml::table root = toml::parse(text, path);
        const toml::array* array = root[name].as_array();
        if (array == nullptr || array->empty()) flaw(path, fmt::format("no [[{}]]", name));
        for (const toml::node& node : *array) {
            const toml::table* table = node.as_table();
            if (table == nullptr) flaw(path, fmt::format("{} is no table", name));
            const auto id =
                (*table)[table->contains("id") ? "id" : "name"].value_or<std::string>("without a name");
            const std::string where = fmt::format("{}: [[{}]] {}", path, name, id);
            DataTable row(values_of(*table, where), where);
            read(row);
            row.finish();
        }
    } catch (const toml::parse_error& error) {
        flaw(path, fmt::format("line {}: {}", error.source().begin.line, error.description()));
    }
}

std::string_view data_file(std::string_view path) {
    for (const EmbeddedFile& file : embedded_data())
        if (file.path == path) return file.text;
    flaw(path, "not compiled into the library");
}

}  // namespace warpwright
