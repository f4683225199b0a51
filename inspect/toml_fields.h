// SPDX-License-Identifier: Apache-2.0
// One table of a data file that is part of the program. A flaw in it is a bug: it throws, with the file and
// the place, and a test sees it first. What is read is noted, so that a misspelt key is a flaw and not a fact
// that nobody sees.
#pragma once

#define TOML_HEADER_ONLY 1
#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace warpwright {

[[noreturn]] inline void broken_data(std::string_view path, std::string_view where, std::string_view what) {
    throw std::logic_error(fmt::format("{}: {}: {}", path, where, what));
}

class TomlFields {
public:
    TomlFields(const toml::table& table, std::string path, std::string where)
        : table_(table), path_(std::move(path)), where_(std::move(where)) {}

    [[noreturn]] void broken(std::string_view what) const { broken_data(path_, where_, what); }

    std::string text(const char* key) {
        known_.emplace_back(key);
        if (!table_.contains(key)) return {};
        const auto value = table_[key].value<std::string>();
        if (!value || value->empty()) broken(fmt::format("'{}' is no text", key));
        return *value;
    }
    std::string required_text(const char* key) {
        std::string value = text(key);
        if (value.empty()) broken(fmt::format("'{}' is missing", key));
        return value;
    }
    std::string required_date(const char* key) {  // 2026-11-26, without quotation marks
        known_.emplace_back(key);
        const auto value = table_[key].value<toml::date>();
        if (!value) broken(fmt::format("'{}' is no date", key));
        return fmt::format("{:04}-{:02}-{:02}", value->year, value->month, value->day);
    }
    template <class T>
    std::vector<T> list(const char* key) {
        known_.emplace_back(key);
        std::vector<T> values;
        if (!table_.contains(key)) return values;
        const toml::array* array = table_[key].as_array();
        if (array == nullptr || array->empty()) broken(fmt::format("'{}' is no list", key));
        for (const toml::node& node : *array) {
            const auto value = node.value<T>();
            if (!value) broken(fmt::format("'{}' has an entry of another type", key));
            values.push_back(*value);
        }
        return values;
    }
    std::vector<std::pair<std::string, std::string>> texts(const char* key) {  // { name = "text", ... }
        known_.emplace_back(key);
        std::vector<std::pair<std::string, std::string>> values;
        if (!table_.contains(key)) return values;
        const toml::table* inner = table_[key].as_table();
        if (inner == nullptr) broken(fmt::format("'{}' is no table", key));
        for (const auto& [name, node] : *inner) {
            const auto value = node.value<std::string>();
            if (!value) broken(fmt::format("'{}' has an entry that is no text", key));
            values.emplace_back(std::string(name.str()), *value);
        }
        return values;
    }
    bool flag(const char* key) {
        known_.emplace_back(key);
        return table_[key].value_or(false);
    }
    int number(const char* key) {
        known_.emplace_back(key);
        return table_[key].value_or(0);
    }
    // One of `names`, as its place among them; the first where the key is absent.
    template <size_t N>
    size_t choice(const char* key, const char* const (&names)[N]) {
        const std::string value = text(key);
        if (value.empty()) return 0;
        const auto found = std::find(std::begin(names), std::end(names), value);
        if (found == std::end(names)) broken(fmt::format("'{}' cannot be '{}'", key, value));
        return static_cast<size_t>(found - std::begin(names));
    }
    // `read` for each table of [[key]]; returns how many there are.
    template <class Read>
    size_t for_each(const char* key, const Read& read) {
        known_.emplace_back(key);
        if (!table_.contains(key)) return 0;
        const toml::array* array = table_[key].as_array();
        if (array == nullptr) broken(fmt::format("'{}' is no list of tables", key));
        for (const toml::node& node : *array) {
            if (node.as_table() == nullptr) broken(fmt::format("'{}' is no list of tables", key));
            read(*node.as_table());
        }
        return array->size();
    }
    void finish() const {
        for (const auto& [key, node] : table_) {
            if (std::ranges::find(known_, key.str()) == known_.end())
                broken(fmt::format("unknown key '{}'", key.str()));
        }
    }

private:
    const toml::table& table_;
    std::string path_, where_;
    std::vector<std::string> known_;
};

}  // namespace warpwright
