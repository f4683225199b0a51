// SPDX-License-Identifier: Apache-2.0
#include "engine/json_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "engine/utf8.h"

namespace warpwright {

using nlohmann::json;
namespace fs = std::filesystem;

Result<std::string> read_text_file(const fs::path& path, i64 max_bytes) {
    std::error_code error;
    const fs::file_status kind = fs::status(path, error);
    if (kind.type() == fs::file_type::not_found)
        return caller_error(fmt::format("{}: no such file", path.string()));
    if (kind.type() != fs::file_type::regular)
        return caller_error(fmt::format("{}: not a file", path.string()));
    const auto size = fs::file_size(path, error);
    if (error) return unavailable(fmt::format("{}: {}", path.string(), error.message()));
    if (static_cast<i64>(size) > max_bytes) {
        return caller_error(
            fmt::format("{}: expected at most {} bytes, got {}", path.string(), max_bytes, size));
    }
    std::string text(size, '\0');
    std::ifstream file(path, std::ios::binary);
    if (!file.read(text.data(), static_cast<std::streamsize>(size))) {
        return unavailable(fmt::format("{}: cannot be read", path.string()));
    }
    return text;
}

namespace {

constexpr int kMaxJsonDepth = 64;
constexpr i64 kMaxJsonValues = 1 << 22;  // twice those of the largest tokenizer.json; about 100 bytes each

// nlohmann keeps one of two equal keys; which one would be an accident. (Its parser callback could tell too,
// but it scans an object's fields again for every field.)
struct KeyWatch : json::json_sax_t {
    std::vector<std::unordered_set<std::string>> open;
    std::string twice;

    bool key(std::string& name) override {
        if (open.back().insert(name).second) return true;
        twice = name;
        return false;
    }
    bool start_object(std::size_t) override {
        open.emplace_back();
        return true;
    }
    bool end_object() override {
        open.pop_back();
        return true;
    }
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(json::number_integer_t) override { return true; }
    bool number_unsigned(json::number_unsigned_t) override { return true; }
    bool number_float(json::number_float_t, const std::string&) override { return true; }
    bool string(std::string&) override { return true; }
    bool binary(json::binary_t&) override { return true; }
    bool start_array(std::size_t) override { return true; }
    bool end_array() override { return true; }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
        return false;
    }
};

// A text that is nested deeper than any file of ours, or has more values. A parser would take memory for
// every level, and every value, of what may be nothing but brackets and commas.
Status check_extent(std::string_view text, const std::string& where) {
    int depth = 0;
    i64 num_values = 1;
    bool in_string = false;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        if (in_string) {
            if (c == '\\') ++at;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            ++num_values;
            if (++depth > kMaxJsonDepth) {
                return caller_error(
                    fmt::format("{}: nested more than {} deep at byte {}", where, kMaxJsonDepth, at));
            }
        } else if (c == ']' || c == '}') {
            --depth;
        } else if (c == ',' && ++num_values > kMaxJsonValues) {
            return caller_error(fmt::format("{}: expected at most {} values, got more before byte {}", where,
                                            kMaxJsonValues, at));
        }
    }
    return {};
}

}  // namespace

Result<json> parse_json(std::string_view text, const std::string& where, bool unique_keys) {
    WW_TRY(check_extent(text, where));
    if (unique_keys) {
        KeyWatch watch;
        json::sax_parse(text.begin(), text.end(), &watch);  // errors are reported below
        if (!watch.twice.empty()) {
            return caller_error(fmt::format("{}: '{}' occurs twice", where, printable(watch.twice, 80)));
        }
    }
    try {
        return json::parse(text.begin(), text.end());
    } catch (const json::parse_error& error) {
        return caller_error(fmt::format("{}: not JSON at byte {} of {}", where, error.byte, text.size()));
    } catch (const json::exception& error) {  // a number beyond double
        return caller_error(fmt::format("{}: not JSON that can be read: {}", where, error.what()));
    }
}

std::string printable(std::string_view text, std::size_t max_characters) {
    std::string out;
    std::size_t count = 0;
    for (std::size_t at = 0; at < text.size() && count < max_characters; ++count) {
        const Utf8Character character = first_character(text.substr(at));
        const std::string_view bytes = text.substr(at, character.length);
        at += character.length;
        const u32 point = character.code_point;
        if (!character.valid) {
            for (const char byte : bytes) out += fmt::format("\\x{:02x}", static_cast<u8>(byte));
        } else if (point < 0x20 || (point >= 0x7F && point < 0xA0)) {
            out += point == '\n' ? "\\n" : fmt::format("\\u{:04x}", point);
        } else {
            out += bytes;
        }
    }
    return out;
}

std::string describe_json(const json& value) {
    if (value.is_object()) return "an object";
    if (value.is_array()) return fmt::format("an array of {}", value.size());
    if (value.is_string()) return fmt::format("'{}'", printable(value.get_ref<const std::string&>(), 40));
    return value.dump();
}

Fields::Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail(fmt::format("expected an object, got {}", describe_json(object)));
}

void Fields::fail(std::string_view message) {
    if (status_.ok()) status_ = caller_error(fmt::format("{}: {}", where_, message));
}

void Fields::fail(const Status& status) {
    if (status_.ok()) status_ = status;
}

std::vector<std::string> Fields::unread() const {
    std::vector<std::string> keys;
    if (!object_.is_object()) return keys;
    for (const auto& [key, value] : object_.items()) {
        const auto is_read = std::find(read_.begin(), read_.end(), key) != read_.end();
        if (!is_read && !value.is_null()) keys.push_back(key);
    }
    return keys;
}

void Fields::mismatch(const char* key, std::string_view expected, const json& got) {
    fail(fmt::format("'{}': expected {}, got {}", key, expected, describe_json(got)));
}

const json* Fields::find(const char* key) const {
    if (!object_.is_object()) return nullptr;
    read_.push_back(key);
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Fields::is_null(const char* key) const {
    const auto found = object_.is_object() ? object_.find(key) : object_.end();
    return found != object_.end() && found->is_null();
}

const json* Fields::need(const char* key, const char* expected) {
    const json* value = find(key);
    if (value == nullptr) fail(fmt::format("'{}' is missing; expected {}", key, expected));
    return value;
}

i64 Fields::integer(const char* key, i64 low, i64 high) {
    return need(key, "an integer") == nullptr ? low : integer_or(key, low, high, low);
}

i64 Fields::integer_or(const char* key, i64 low, i64 high, i64 fallback) {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    const bool too_big = value->is_number_unsigned() && value->get<u64>() > static_cast<u64>(high);
    if (value->is_number_integer() && !too_big) {
        const i64 number = value->get<i64>();
        if (number >= low && number <= high) return number;
    }
    mismatch(key, fmt::format("an integer from {} to {}", low, high), *value);
    return fallback;
}

std::optional<i64> Fields::integer_or_none(const char* key, i64 low, i64 high, std::optional<i64> fallback) {
    if (is_null(key)) return std::nullopt;
    return find(key) == nullptr ? fallback : integer_or(key, low, high, low);
}

double Fields::positive(const char* key) {
    return need(key, "a positive number") == nullptr ? 1.0 : positive_or(key, 1.0);
}

double Fields::positive_or(const char* key, double fallback) {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (value->is_number()) {
        const double number = value->get<double>();
        if (number > 0 && std::isfinite(number)) return number;
    }
    mismatch(key, "a positive number", *value);
    return fallback;
}

std::optional<double> Fields::positive_or_none(const char* key, std::optional<double> fallback) {
    if (is_null(key)) return std::nullopt;
    return find(key) == nullptr ? fallback : positive_or(key, 1);
}

std::optional<double> Fields::number_or_none(const char* key, double low, double high) {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_number()) {
        const double number = value->get<double>();
        if (number >= low && number <= high) return number;
    }
    mismatch(key, fmt::format("a number from {} to {}", low, high), *value);
    return std::nullopt;
}

bool Fields::flag_or(const char* key, bool fallback) {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (value->is_boolean()) return value->get<bool>();
    mismatch(key, "true or false", *value);
    return fallback;
}

std::string Fields::text(const char* key) {
    return need(key, "a string") == nullptr ? std::string() : text_or(key, {});
}

std::string Fields::text_or(const char* key, std::string fallback) {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (value->is_string()) return value->get<std::string>();
    mismatch(key, "a string", *value);
    return fallback;
}

const json* Fields::array(const char* key) {
    const json* value = need(key, "an array");
    if (value == nullptr || value->is_array()) return value;
    mismatch(key, "an array", *value);
    return nullptr;
}

const json* Fields::object(const char* key) {
    const json* value = need(key, "an object");
    if (value == nullptr || value->is_object()) return value;
    mismatch(key, "an object", *value);
    return nullptr;
}

}  // namespace warpwright
