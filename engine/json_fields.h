// SPDX-License-Identifier: Apache-2.0
// Reading JSON files: parsing with an error that names the file, and typed fields whose errors name the
// field, what was expected and what was got.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

// A whole file. Larger than `max_bytes`, not there, or not a regular file: an error that names it.
Result<std::string> read_text_file(const std::filesystem::path& path, i64 max_bytes);

// Any JSON value. With `unique_keys`, a key that occurs twice in one object is an error.
Result<nlohmann::json> parse_json(std::string_view text, const std::string& where, bool unique_keys = true);

// A name or text from a file as one line of an error: control characters and broken UTF-8 escaped, cut after
// so many characters.
std::string printable(std::string_view text, std::size_t max_characters);

// "4096", "'abc'", "an object": short whatever the value is.
std::string describe_json(const nlohmann::json& value);

// One object's fields. The first problem is kept and later reads return fallbacks, so that a reader can take
// every field and look at status() once. A JSON null counts as absent. Keys are literals.
class Fields {
public:
    Fields(const nlohmann::json& object, std::string where);

    i64 integer(const char* key, i64 low, i64 high);
    i64 integer_or(const char* key, i64 low, i64 high, i64 fallback);
    double positive(const char* key);
    double positive_or(const char* key, double fallback);
    bool flag_or(const char* key, bool fallback);
    std::string text(const char* key);
    std::string text_or(const char* key, std::string fallback);
    // Where null is a value of its own, none, and only an absent field is the fallback.
    std::optional<i64> integer_or_none(const char* key, i64 low, i64 high, std::optional<i64> fallback);
    std::optional<double> positive_or_none(const char* key, std::optional<double> fallback);
    std::optional<double> number_or_none(const char* key, double low, double high);
    const nlohmann::json* find(const char* key) const;  // null when absent
    bool is_null(const char* key) const;                // there, and null
    const nlohmann::json* array(const char* key);       // required
    const nlohmann::json* object(const char* key);      // required

    // Those that nobody has asked for, nulls aside.
    std::vector<std::string> unread() const;

    void fail(std::string_view message);  // "<where>: <message>"
    void fail(const Status& status);      // whose text says where; of a field's own Fields
    const Status& status() const { return status_; }
    const std::string& where() const { return where_; }

private:
    const nlohmann::json* need(const char* key, const char* expected);
    void mismatch(const char* key, std::string_view expected, const nlohmann::json& got);

    const nlohmann::json& object_;
    mutable std::vector<const char*> read_;
    std::string where_;
    Status status_;
};

}  // namespace warpwright
