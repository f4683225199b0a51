// SPDX-License-Identifier: Apache-2.0
#include "engine/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/utf8.h"

namespace warpwright::jinja {
namespace {

constexpr int kMaxDepth = 100;  // of lists in lists
constexpr i64 kMaxBytes = 64 << 20;

int checked_depth(int inner) {
    if (inner >= kMaxDepth)
        throw Error(fmt::format("lists and dicts are nested more than {} deep", kMaxDepth));
    return inner + 1;
}

i64 checked_bytes(i64 bytes) {
    if (bytes > kMaxBytes) throw Error(fmt::format("a list or dict holds more than {} bytes", kMaxBytes));
    return bytes;
}

}  // namespace

const Value* Arguments::find(std::size_t index, std::string_view name) const {
    if (index < positional.size()) return &positional[index];
    for (const auto& [key, value] : named) {
        if (key == name) return &value;
    }
    return nullptr;
}

void Arguments::check(std::string_view function, std::size_t most,
                      std::initializer_list<std::string_view> names) const {
    if (positional.size() > most) {
        throw Error(
            fmt::format("{}: expected at most {} arguments, got {}", function, most, positional.size()));
    }
    for (const auto& [key, value] : named) {
        if (std::find(names.begin(), names.end(), key) == names.end()) {
            throw Error(fmt::format("{}: unexpected argument '{:.40}'", function, key));
        }
    }
}

const Value* Dict::find(std::string_view key) const {
    for (const auto& [name, value] : items) {
        if (name.is_string() && name.as_string() == key) return &value;
    }
    return nullptr;
}

const Value* Dict::find(const Value& key) const {
    if (key.is_string()) return find(std::string_view(key.as_string()));
    for (const auto& [name, value] : items) {
        if (equal(name, key)) return &value;
    }
    return nullptr;
}

void Dict::set(Value key, Value value) {
    if (key.is_list() || key.is_dict()) throw Error(fmt::format("a {} cannot be a key", key.type_name()));
    if (!is_namespace) {
        depth = std::max(depth, checked_depth(value.depth()));
        bytes = checked_bytes(bytes + key.bytes() + value.bytes());
    }
    if (const Value* found = find(key)) {
        *const_cast<Value*>(found) = std::move(value);
    } else {
        items.emplace_back(std::move(key), std::move(value));
    }
}

Value Value::list(Values items, bool tuple) {
    int depth = 0;
    i64 bytes = 16;
    for (const Value& item : items) {
        depth = std::max(depth, item.depth());
        bytes = checked_bytes(bytes + item.bytes());
    }
    Value value;
    value.data_ =
        std::make_shared<const Sequence>(Sequence{std::move(items), tuple, checked_depth(depth), bytes});
    return value;
}

Value Value::dict(std::vector<std::pair<Value, Value>> items) {
    auto dict = std::make_shared<Dict>();
    for (auto& [key, item] : items) dict->set(std::move(key), std::move(item));
    return dict;
}

Value Value::function(Function function) {
    Value value;
    value.data_ = std::make_shared<const Function>(std::move(function));
    return value;
}

Value Value::from_json(const nlohmann::ordered_json& json) {
    switch (json.type()) {
        case nlohmann::json::value_t::null: return None{};
        case nlohmann::json::value_t::boolean: return json.get<bool>();
        case nlohmann::json::value_t::number_integer: return json.get<i64>();
        case nlohmann::json::value_t::number_unsigned:
            if (json.get<u64>() > static_cast<u64>(INT64_MAX)) return json.get<double>();
            return json.get<i64>();
        case nlohmann::json::value_t::number_float: return json.get<double>();
        case nlohmann::json::value_t::string: return json.get<std::string>();
        case nlohmann::json::value_t::array: {
            Values items;
            for (const auto& item : json) items.push_back(from_json(item));
            return list(std::move(items));
        }
        case nlohmann::json::value_t::object: {
            auto dict = std::make_shared<Dict>();
            for (const auto& [key, item] : json.items()) {
                Value value = from_json(item);
                dict->depth = std::max(dict->depth, checked_depth(value.depth()));
                dict->bytes = checked_bytes(dict->bytes + static_cast<i64>(key.size()) + 16 + value.bytes());
                dict->items.emplace_back(key, std::move(value));
            }
            return dict;
        }
        default: return Undefined{};
    }
}

i64 Value::as_int() const {
    if (is_int()) return std::get<i64>(data_);
    if (is_bool()) return std::get<bool>(data_);
    throw Error(fmt::format("expected an integer, got {}", type_name()));
}

double Value::as_number() const {
    return is_float() ? std::get<double>(data_) : static_cast<double>(as_int());
}

bool Value::truthy() const {
    if (is_bool()) return std::get<bool>(data_);
    if (is_int()) return std::get<i64>(data_) != 0;
    if (is_float()) return std::get<double>(data_) != 0;
    if (is_string()) return !as_string().empty();
    if (is_list()) return !as_list().empty();
    if (is_dict()) return as_dict().is_namespace || !as_dict().items.empty();
    return is_function();
}

const char* Value::type_name() const {
    if (is_undefined()) return "undefined";
    if (is_none()) return "None";
    if (is_bool()) return "bool";
    if (is_int()) return "int";
    if (is_float()) return "float";
    if (is_string()) return "str";
    if (is_list()) return is_tuple() ? "tuple" : "list";
    if (is_dict()) return as_dict().is_namespace ? "namespace" : "dict";
    return "function";
}

int Value::depth() const {
    if (is_list()) return std::get<std::shared_ptr<const Sequence>>(data_)->depth;
    if (is_dict() && !as_dict().is_namespace) return as_dict().depth;
    return 0;
}

i64 Value::bytes() const {
    if (is_string()) return static_cast<i64>(as_string().size()) + 16;
    if (is_list()) return std::get<std::shared_ptr<const Sequence>>(data_)->bytes;
    return is_mapping() ? as_dict().bytes + 16 : 16;
}

bool Value::same_object(const Value& other) const {
    if (data_.index() != other.data_.index()) return false;
    if (is_list()) return &as_list() == &other.as_list();
    if (is_dict()) return &as_dict() == &other.as_dict();
    if (is_function()) return &as_function() == &other.as_function();
    return equal(*this, other);
}

std::string number_text(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    std::string text = fmt::format("{}", value);
    if (text.find_first_of(".e") == text.npos) text += ".0";
    return text;
}

std::string Value::text() const {
    if (is_undefined()) return "";
    return is_string() ? as_string() : repr();
}

std::string Value::repr() const {
    if (is_undefined()) return "Undefined";
    if (is_none()) return "None";
    if (is_bool()) return truthy() ? "True" : "False";
    if (is_int()) return std::to_string(std::get<i64>(data_));
    if (is_float()) return number_text(std::get<double>(data_));
    if (is_function()) return "<function>";
    std::string out;
    if (is_string()) {
        const std::string& text = as_string();
        const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
        out += quote;
        for (const char c : text) {
            if (c == quote || c == '\\')
                out.append({'\\', c});
            else if (c == '\n')
                out += "\\n";
            else if (c == '\r')
                out += "\\r";
            else if (c == '\t')
                out += "\\t";
            else if (static_cast<u8>(c) < 0x20 || c == 0x7F)
                out += fmt::format("\\x{:02x}", static_cast<u8>(c));
            else
                out += c;
        }
        return out + quote;
    }
    if (is_list()) {
        for (const Value& item : as_list()) out += (out.empty() ? "" : ", ") + item.repr();
        if (!is_tuple()) return "[" + out + "]";
        return "(" + out + (as_list().size() == 1 ? ",)" : ")");
    }
    if (as_dict().is_namespace) return "<Namespace>";
    for (const auto& [key, item] : as_dict().items) {
        out += (out.empty() ? "" : ", ") + key.repr() + ": " + item.repr();
    }
    return "{" + out + "}";
}

bool equal(const Value& a, const Value& b) {
    if (a.is_number() && b.is_number()) {
        if (!a.is_float() && !b.is_float()) return a.as_int() == b.as_int();
        return a.as_number() == b.as_number();
    }
    if (a.is_string() && b.is_string()) return a.as_string() == b.as_string();
    if (a.is_list() && b.is_list()) {
        if (a.is_tuple() != b.is_tuple() || a.as_list().size() != b.as_list().size()) return false;
        return std::equal(a.as_list().begin(), a.as_list().end(), b.as_list().begin(), equal);
    }
    if (a.is_mapping() && b.is_mapping()) {
        if (a.as_dict().items.size() != b.as_dict().items.size()) return false;
        for (const auto& [key, item] : a.as_dict().items) {
            const Value* other = b.as_dict().find(key);
            if (other == nullptr || !equal(item, *other)) return false;
        }
        return true;
    }
    if (a.is_undefined() || a.is_none()) return a.is_undefined() ? b.is_undefined() : b.is_none();
    if (a.is_dict() || a.is_function()) return a.same_object(b);
    return false;
}

int compare(const Value& a, const Value& b) {
    if (a.is_number() && b.is_number()) {
        if (!a.is_float() && !b.is_float()) return a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int();
        return a.as_number() < b.as_number() ? -1 : a.as_number() > b.as_number();
    }
    if (a.is_string() && b.is_string()) return a.as_string().compare(b.as_string());
    if (a.is_list() && b.is_list() && a.is_tuple() == b.is_tuple()) {
        const std::size_t both = std::min(a.as_list().size(), b.as_list().size());
        for (std::size_t i = 0; i < both; ++i) {
            if (!equal(a.as_list()[i], b.as_list()[i])) return compare(a.as_list()[i], b.as_list()[i]);
        }
        return a.as_list().size() < b.as_list().size() ? -1 : a.as_list().size() > b.as_list().size();
    }
    for (const Value* value : {&a, &b}) {
        if (value->is_undefined()) throw Error(fmt::format("'{:.80}' is undefined", value->undefined_name()));
    }
    throw Error(fmt::format("{} and {} have no order", a.type_name(), b.type_name()));
}

namespace {

void append_json_string(std::string& out, std::string_view text, bool ascii) {
    out += '"';
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at];
        const Utf8Character character = first_character(text.substr(at));
        const u32 point = character.valid ? character.code_point : 0xFFFD;
        at += character.length;
        constexpr std::string_view kNamed = "\"\\\b\f\n\r\t";
        if (const std::size_t known = kNamed.find(c); character.length == 1 && known != kNamed.npos)
            out.append({'\\', "\"\\bfnrt"[known]});
        else if (point < 0x20 || (ascii && point > 0x7E && point < 0x10000))
            out += fmt::format("\\u{:04x}", point);
        else if (ascii && point >= 0x10000)
            out += fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (point >> 10), 0xDC00 + (point & 0x3FF));
        else
            append_utf8(out, point);
    }
    out += '"';
}

struct JsonWriter {
    int indent;
    std::string_view item_separator, key_separator;
    bool sort_keys, ascii;
    std::string out;

    void new_line(int level) {
        if (indent < 0) return;
        out += '\n';
        out.append(static_cast<std::size_t>(indent) * static_cast<std::size_t>(level), ' ');
    }

    void write_key(const Value& key) {
        if (key.is_string())
            append_json_string(out, key.as_string(), ascii);
        else if (key.is_bool() || key.is_none())
            out += key.is_none() ? "\"null\"" : key.truthy() ? "\"true\"" : "\"false\"";
        else
            out += "\"" + key.text() + "\"";
    }

    void write(const Value& value, int level) {
        if (value.is_none()) {
            out += "null";
        } else if (value.is_bool()) {
            out += value.truthy() ? "true" : "false";
        } else if (value.is_float() && !std::isfinite(value.as_number())) {
            out += std::isnan(value.as_number()) ? "NaN" : value.as_number() > 0 ? "Infinity" : "-Infinity";
        } else if (value.is_number()) {
            out += value.text();
        } else if (value.is_string()) {
            append_json_string(out, value.as_string(), ascii);
        } else if (value.is_list()) {
            out += '[';
            bool first = true;
            for (const Value& item : value.as_list()) {
                if (!first) out += item_separator;
                first = false;
                new_line(level + 1);
                write(item, level + 1);
            }
            if (!first) new_line(level);
            out += ']';
        } else if (value.is_mapping()) {
            std::vector<std::pair<Value, Value>> items = value.as_dict().items;
            if (sort_keys) {
                std::stable_sort(items.begin(), items.end(),
                                 [](const auto& a, const auto& b) { return compare(a.first, b.first) < 0; });
            }
            out += '{';
            bool first = true;
            for (const auto& [key, item] : items) {
                if (!first) out += item_separator;
                first = false;
                new_line(level + 1);
                write_key(key);
                out += key_separator;
                write(item, level + 1);
            }
            if (!first) new_line(level);
            out += '}';
        } else {
            throw Error(fmt::format("tojson: a value of type {} has no JSON", value.type_name()));
        }
    }
};

}  // namespace

std::string to_json(const Value& value, int indent, std::string_view item_separator,
                    std::string_view key_separator, bool sort_keys, bool ascii) {
    JsonWriter writer{indent, item_separator, key_separator, sort_keys, ascii, {}};
    writer.write(value, 0);
    return std::move(writer.out);
}

}  // namespace warpwright::jinja
