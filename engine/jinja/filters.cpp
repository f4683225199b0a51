// SPDX-License-Identifier: Apache-2.0
// Filters and tests.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "engine/jinja/interpreter.h"
#include "engine/jinja/text.h"

namespace warpwright::jinja {
namespace {

using Filter = Value (*)(Interpreter&, const Value&, const Arguments&);
using Test = bool (*)(const Value&, const Arguments&);

bool flag(const Arguments& arguments, std::size_t index, std::string_view name) {
    const Value* value = arguments.find(index, name);
    return value != nullptr && value->truthy();
}

const Value& needed(const Arguments& arguments, std::size_t index, std::string_view what) {
    if (index >= arguments.positional.size()) throw Error(fmt::format("expected {}, got nothing", what));
    return arguments.positional[index];
}

// "a.b.0": attributes and indices one behind another.
Value reached(Interpreter& interpreter, const Value& value, const Value& path) {
    if (!path.is_string()) return interpreter.item_of(value, path);
    Value current = value;
    for (const std::string_view part : split_at(path.as_string(), ".", -1)) {
        const bool number = !part.empty() && std::all_of(part.begin(), part.end(),
                                                         [](char c) { return c >= '0' && c <= '9'; });
        i64 index = 0;
        if (number) std::from_chars(part.data(), part.data() + part.size(), index);
        current = interpreter.item_of(current, number ? Value(index) : Value(part));
    }
    return current;
}

Value folded(const Value& value, bool case_sensitive) {
    return value.is_string() && !case_sensitive ? Value(lowered(value.as_string())) : value;
}

// What sorts and compares: the value's attribute where one is named, in lower case where case does not count.
Values keys_of(Interpreter& interpreter, const Values& items, const Value* attribute, bool case_sensitive) {
    Values keys;
    for (const Value& item : items) {
        const bool plain = attribute == nullptr || attribute->is_none();
        keys.push_back(folded(plain ? item : reached(interpreter, item, *attribute), case_sensitive));
    }
    return keys;
}

Values sorted(Interpreter& interpreter, const Values& items, const Values& keys, bool reverse) {
    std::vector<std::size_t> order(items.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    interpreter.charge_steps(static_cast<i64>(items.size()));
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return reverse ? compare(keys[a], keys[b]) > 0 : compare(keys[a], keys[b]) < 0;
    });
    Values out;
    for (const std::size_t i : order) out.push_back(items[i]);
    return out;
}

// --- text

Value trim(Interpreter&, const Value& value, const Arguments& arguments) {
    const Value* set = arguments.find(0, "chars");
    const bool plain = set == nullptr || set->is_none();
    const std::string characters = plain ? "" : set->text();
    return stripped(value.text(), true, true, plain ? nullptr : &characters);
}

template <std::string (*change)(std::string_view)>
Value changed(Interpreter& interpreter, const Value& value, const Arguments&) {
    const std::string text = value.text();
    interpreter.charge_bytes(static_cast<i64>(text.size()));
    return change(text);
}

std::string title(std::string_view text) {
    return titled(text, true);
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '"')
            out += "&#34;";
        else if (c == '\'')
            out += "&#39;";
        else
            out += c;
    }
    return out;
}

Value replace(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const std::string text = value.text();
    const std::string from = needed(arguments, 0, "what to replace").text();
    const std::string to = needed(arguments, 1, "a replacement").text();
    const Value* most_value = arguments.find(2, "count");
    i64 most = most_value == nullptr || most_value->is_none() ? -1 : most_value->as_int();
    std::string out;
    const auto room = [&] { interpreter.charge_bytes(static_cast<i64>(to.size()) + 1); };
    if (from.empty()) {  // between all characters
        for (const std::string_view character : characters_of(text)) {
            if (most != 0) room(), out += to, --most;
            out += character;
        }
        if (most != 0) out += to;
        return out;
    }
    std::size_t at = 0;
    for (std::size_t found = text.find(from); most != 0 && found != text.npos;
         found = text.find(from, at), --most) {
        room();
        out += std::string_view(text).substr(at, found - at);
        out += to;
        at = found + from.size();
    }
    out += std::string_view(text).substr(at);
    interpreter.charge_bytes(static_cast<i64>(text.size()));
    return out;
}

Value indent(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    arguments.check("indent", 3, {"width", "first", "blank"});
    const Value* width = arguments.find(0, "width");
    std::string margin = "    ";
    if (width != nullptr && width->is_string()) margin = width->as_string();
    if (width != nullptr && !width->is_string()) {
        const i64 count = std::max<i64>(width->as_int(), 0);
        if (count > 10000) throw Error("indent: expected a width of at most 10000");
        margin = std::string(static_cast<std::size_t>(count), ' ');
    }
    const std::string text = value.text() + "\n";
    std::string out = flag(arguments, 1, "first") ? margin : "";
    bool first = true;
    for (const std::string_view line : lines_of(text)) {
        interpreter.charge_bytes(static_cast<i64>(line.size() + margin.size()));
        if (!first) out += '\n';
        if (!first && (!line.empty() || flag(arguments, 2, "blank"))) out += margin;
        first = false;
        out += line;
    }
    return out;
}

Value tojson(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    arguments.check("tojson", 4, {"ensure_ascii", "indent", "separators", "sort_keys"});
    const Value* indent_value = arguments.find(1, "indent");
    const bool pretty = indent_value != nullptr && !indent_value->is_none();
    const i64 width = pretty ? std::clamp<i64>(indent_value->as_int(), 0, 64) : -1;
    std::string item_separator = pretty ? "," : ", ";
    std::string key_separator = ": ";
    const Value* separators = arguments.find(2, "separators");
    if (separators != nullptr && separators->is_list() && separators->as_list().size() == 2) {
        item_separator = separators->as_list()[0].text();
        key_separator = separators->as_list()[1].text();
    }
    std::string text = to_json(value, static_cast<int>(width), item_separator, key_separator,
                               flag(arguments, 3, "sort_keys"), flag(arguments, 0, "ensure_ascii"));
    interpreter.charge_bytes(static_cast<i64>(text.size()));
    return text;
}

Value word_count(Interpreter&, const Value& value, const Arguments&) {
    std::string text = value.text();
    return static_cast<i64>(split_at_space(text, -1).size());
}

// --- numbers

Value to_int(Interpreter&, const Value& value, const Arguments& arguments) {
    const Value* given = arguments.find(0, "default");
    const Value fallback = given != nullptr ? *given : Value(i64{0});
    if (value.is_int() || value.is_bool()) return value.as_int();
    double number = 0;
    if (value.is_float()) {
        number = value.as_number();
    } else if (value.is_string()) {
        std::string text(stripped(value.as_string(), true, true, nullptr));
        if (text.starts_with('+')) text.erase(0, 1);
        i64 whole = 0;
        const char* end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, whole);
        if (error == std::errc() && stop == end) return whole;
        const auto [real_stop, real_error] = std::from_chars(text.data(), end, number);
        if (text.empty() || real_error != std::errc() || real_stop != end) return fallback;
    } else {
        return fallback;
    }
    if (!(std::fabs(number) < 9e18)) return fallback;
    return static_cast<i64>(number);
}

Value to_float(Interpreter&, const Value& value, const Arguments& arguments) {
    const Value* given = arguments.find(0, "default");
    if (value.is_number()) return value.as_number();
    if (value.is_string()) {
        std::string text(stripped(value.as_string(), true, true, nullptr));
        if (text.starts_with('+')) text.erase(0, 1);
        double number = 0;
        const char* end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, number);
        if (!text.empty() && error == std::errc() && stop == end) return number;
    }
    return given != nullptr ? *given : Value(0.0);
}

Value absolute(Interpreter& interpreter, const Value& value, const Arguments&) {
    if (value.is_float()) return std::fabs(value.as_number());
    return value.as_int() < 0 ? interpreter.binary("-", i64{0}, value) : Value(value.as_int());
}

Value rounded(Interpreter&, const Value& value, const Arguments& arguments) {
    const Value* precision = arguments.find(0, "precision");
    const Value* method = arguments.find(1, "method");
    const std::string how = method == nullptr ? "common" : method->text();
    const i64 digits = precision == nullptr ? 0 : std::clamp<i64>(precision->as_int(), -300, 300);
    const double number = value.as_number();
    if (how == "common") {
        if (!value.is_float() && digits >= 0) return value.as_int();
        if (digits >= 0 && digits < 20)
            return std::strtod(fmt::format("{:.{}f}", number, digits).c_str(), nullptr);
    }
    const double scale = std::pow(10.0, static_cast<double>(digits));
    if (how == "ceil") return std::ceil(number * scale) / scale;
    if (how == "floor") return std::floor(number * scale) / scale;
    if (how != "common") throw Error(fmt::format("round: unknown method '{:.40}'", how));
    return std::nearbyint(number * scale) / scale;
}

// --- lists

Value length(Interpreter&, const Value& value, const Arguments&) {
    if (value.is_string()) return num_characters(value.as_string());
    if (value.is_list()) return static_cast<i64>(value.as_list().size());
    if (value.is_mapping()) return static_cast<i64>(value.as_dict().items.size());
    if (value.is_undefined()) return i64{0};
    throw Error(fmt::format("length: a {} has none", value.type_name()));
}

Value default_of(Interpreter&, const Value& value, const Arguments& arguments) {
    const bool absent = value.is_undefined() || (flag(arguments, 1, "boolean") && !value.truthy());
    if (!absent) return value;
    const Value* fallback = arguments.find(0, "default_value");
    return fallback != nullptr ? *fallback : Value("");
}

Value first(Interpreter& interpreter, const Value& value, const Arguments&) {
    const Values items = interpreter.items_of(value);
    return items.empty() ? Value(Undefined{"first item"}) : items.front();
}

Value last(Interpreter& interpreter, const Value& value, const Arguments&) {
    const Values items = interpreter.items_of(value);
    return items.empty() ? Value(Undefined{"last item"}) : items.back();
}

Value join(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Value* separator = arguments.find(0, "d");
    const Value* attribute = arguments.find(1, "attribute");
    const std::string between = separator == nullptr ? "" : separator->text();
    std::string out;
    bool first_item = true;
    for (const Value& item : interpreter.items_of(value)) {
        const std::string text =
            (attribute == nullptr ? item : reached(interpreter, item, *attribute)).text();
        interpreter.charge_bytes(static_cast<i64>(text.size() + between.size()));
        if (!first_item) out += between;
        first_item = false;
        out += text;
    }
    return out;
}

Value list(Interpreter& interpreter, const Value& value, const Arguments&) {
    return Value::list(interpreter.items_of(value));
}

Value items(Interpreter& interpreter, const Value& value, const Arguments&) {
    if (value.is_undefined()) return Value::list({});
    if (!value.is_mapping()) throw Error(fmt::format("items: expected a dict, got {}", value.type_name()));
    return interpreter.call(method_of(value, "items"), {});
}

Value dict_sorted(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Values all = interpreter.items_of(items(interpreter, value, {}));
    const Value* by = arguments.find(1, "by");
    const std::size_t part = by != nullptr && by->text() == "value" ? 1 : 0;
    Values keys;
    for (const Value& item : all)
        keys.push_back(folded(item.as_list()[part], flag(arguments, 0, "case_sensitive")));
    return Value::list(sorted(interpreter, all, keys, flag(arguments, 2, "reverse")));
}

Value reverse(Interpreter& interpreter, const Value& value, const Arguments&) {
    Values all = interpreter.items_of(value);
    std::reverse(all.begin(), all.end());
    if (!value.is_string()) return Value::list(std::move(all));
    std::string out;
    for (const Value& item : all) out += item.as_string();
    return out;
}

Value sort(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Values all = interpreter.items_of(value);
    const Values keys =
        keys_of(interpreter, all, arguments.find(2, "attribute"), flag(arguments, 1, "case_sensitive"));
    return Value::list(sorted(interpreter, all, keys, flag(arguments, 0, "reverse")));
}

Value unique(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Values all = interpreter.items_of(value);
    const Values keys =
        keys_of(interpreter, all, arguments.find(1, "attribute"), flag(arguments, 0, "case_sensitive"));
    Values out;
    Values seen;
    for (std::size_t i = 0; i < all.size(); ++i) {
        interpreter.charge_steps(static_cast<i64>(1 + seen.size() / 16));
        interpreter.charge_reading(value);
        const bool known =
            std::any_of(seen.begin(), seen.end(), [&](const Value& key) { return equal(key, keys[i]); });
        if (known) continue;
        seen.push_back(keys[i]);
        out.push_back(all[i]);
    }
    return Value::list(std::move(out));
}

template <bool largest>
Value extreme(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Values all = interpreter.items_of(value);
    const Values keys =
        keys_of(interpreter, all, arguments.find(1, "attribute"), flag(arguments, 0, "case_sensitive"));
    if (all.empty()) return Undefined{largest ? "largest item" : "smallest item"};
    std::size_t best = 0;
    for (std::size_t i = 1; i < all.size(); ++i) {
        if (largest ? compare(keys[i], keys[best]) > 0 : compare(keys[i], keys[best]) < 0) best = i;
    }
    return all[best];
}

Value sum(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Value* attribute = arguments.find(0, "attribute");
    const Value* start = arguments.find(1, "start");
    Value total = start != nullptr ? *start : Value(i64{0});
    for (const Value& item : interpreter.items_of(value)) {
        const bool plain = attribute == nullptr || attribute->is_none();
        total = interpreter.binary("+", total, plain ? item : reached(interpreter, item, *attribute));
    }
    return total;
}

Value map(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    Values out;
    const Value* attribute = nullptr;
    const Value* fallback = nullptr;
    for (const auto& [name, given] : arguments.named) {
        if (name == "attribute") attribute = &given;
        if (name == "default") fallback = &given;
    }
    Arguments rest = arguments;
    std::string name;
    if (attribute == nullptr) {
        name = needed(arguments, 0, "a filter's name").text();
        if (!is_filter(name)) throw Error(fmt::format("map: unknown or unsupported filter '{:.40}'", name));
        rest.positional.erase(rest.positional.begin());
    }
    for (const Value& item : interpreter.items_of(value)) {
        interpreter.charge_steps(1);
        if (attribute == nullptr) {
            out.push_back(interpreter.filter(name, item, rest));
            continue;
        }
        Value part = reached(interpreter, item, *attribute);
        out.push_back(part.is_undefined() && fallback != nullptr ? *fallback : std::move(part));
    }
    return Value::list(std::move(out));
}

// select, reject: items for which a test holds or not; selectattr, rejectattr: for an attribute of theirs.
template <bool wanted, bool by_attribute>
Value select(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    Arguments rest = arguments;
    Value attribute;
    if (by_attribute) {
        attribute = needed(rest, 0, "an attribute");
        rest.positional.erase(rest.positional.begin());
    }
    std::string name;
    if (!rest.positional.empty()) {
        name = rest.positional[0].text();
        if (!is_test(name)) throw Error(fmt::format("unknown or unsupported test '{:.40}'", name));
        rest.positional.erase(rest.positional.begin());
    }
    Values out;
    for (const Value& item : interpreter.items_of(value)) {
        interpreter.charge_steps(1);
        const Value tested = by_attribute ? reached(interpreter, item, attribute) : item;
        const bool holds = name.empty() ? tested.truthy() : interpreter.test(name, tested, rest);
        if (holds == wanted) out.push_back(item);
    }
    return Value::list(std::move(out));
}

Value as_text(Interpreter& interpreter, const Value& value, const Arguments&) {
    std::string text = value.text();
    interpreter.charge_bytes(static_cast<i64>(text.size()));
    return text;
}

Value attribute(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    return interpreter.attribute_of(value, needed(arguments, 0, "a name").text());
}

const std::unordered_map<std::string_view, Filter>& filters() {
    static const std::unordered_map<std::string_view, Filter> kFilters = {
        {"abs", absolute},
        {"attr", attribute},
        {"capitalize", changed<capitalized>},
        {"count", length},
        {"d", default_of},
        {"default", default_of},
        {"dictsort", dict_sorted},
        {"e", changed<escaped>},
        {"escape", changed<escaped>},
        {"first", first},
        {"float", to_float},
        {"indent", indent},
        {"int", to_int},
        {"items", items},
        {"join", join},
        {"last", last},
        {"length", length},
        {"list", list},
        {"lower", changed<lowered>},
        {"map", map},
        {"max", extreme<true>},
        {"min", extreme<false>},
        {"reject", select<false, false>},
        {"rejectattr", select<false, true>},
        {"replace", replace},
        {"reverse", reverse},
        {"round", rounded},
        {"safe", as_text},
        {"select", select<true, false>},
        {"selectattr", select<true, true>},
        {"sort", sort},
        {"string", as_text},
        {"sum", sum},
        {"title", changed<title>},
        {"tojson", tojson},
        {"trim", trim},
        {"unique", unique},
        {"upper", changed<uppered>},
        {"wordcount", word_count},
    };
    return kFilters;
}

// --- tests

const Value& other(const Arguments& arguments) {
    return needed(arguments, 0, "a value to test against");
}

template <int order, bool or_equal>
bool ordered(const Value& value, const Arguments& arguments) {
    const int result = compare(value, other(arguments));
    return (or_equal && result == 0) || (order < 0 ? result < 0 : result > 0);
}

bool is_equal(const Value& value, const Arguments& arguments) {
    return equal(value, other(arguments));
}

const std::unordered_map<std::string_view, Test>& tests() {
    static const std::unordered_map<std::string_view, Test> kTests = {
        {"defined", [](const Value& v, const Arguments&) { return !v.is_undefined(); }},
        {"undefined", [](const Value& v, const Arguments&) { return v.is_undefined(); }},
        {"none", [](const Value& v, const Arguments&) { return v.is_none(); }},
        {"boolean", [](const Value& v, const Arguments&) { return v.is_bool(); }},
        {"true", [](const Value& v, const Arguments&) { return v.is_bool() && v.truthy(); }},
        {"false", [](const Value& v, const Arguments&) { return v.is_bool() && !v.truthy(); }},
        {"integer", [](const Value& v, const Arguments&) { return v.is_int(); }},
        {"float", [](const Value& v, const Arguments&) { return v.is_float(); }},
        {"number", [](const Value& v, const Arguments&) { return v.is_number(); }},
        {"string", [](const Value& v, const Arguments&) { return v.is_string(); }},
        {"mapping", [](const Value& v, const Arguments&) { return v.is_mapping(); }},
        {"iterable",
         [](const Value& v, const Arguments&) {
             return v.is_list() || v.is_mapping() || v.is_string() || v.is_undefined();
         }},
        {"sequence",
         [](const Value& v, const Arguments&) {
             return v.is_list() || v.is_mapping() || v.is_string() || v.is_undefined();
         }},
        {"callable", [](const Value& v, const Arguments&) { return v.is_function(); }},
        {"sameas", [](const Value& v, const Arguments& a) { return v.same_object(other(a)); }},
        {"odd", [](const Value& v, const Arguments&) { return v.as_int() % 2 != 0; }},
        {"even", [](const Value& v, const Arguments&) { return v.as_int() % 2 == 0; }},
        {"divisibleby",
         [](const Value& v, const Arguments& a) {
             const i64 divisor = other(a).as_int();
             if (divisor == 0) throw Error("division by zero");
             return divisor == -1 || v.as_int() % divisor == 0;
         }},
        {"lower",
         [](const Value& v, const Arguments&) {
             const std::string text = v.text();
             return lowered(text) == text && uppered(text) != text;
         }},
        {"upper",
         [](const Value& v, const Arguments&) {
             const std::string text = v.text();
             return uppered(text) == text && lowered(text) != text;
         }},
        {"in", [](const Value& v, const Arguments& a) { return contains(other(a), v); }},
        {"filter",
         [](const Value& v, const Arguments&) { return v.is_string() && is_filter(v.as_string()); }},
        {"test", [](const Value& v, const Arguments&) { return v.is_string() && is_test(v.as_string()); }},
        {"equalto", is_equal},
        {"eq", is_equal},
        {"==", is_equal},
        {"ne", [](const Value& v, const Arguments& a) { return !is_equal(v, a); }},
        {"!=", [](const Value& v, const Arguments& a) { return !is_equal(v, a); }},
        {"lt", ordered<-1, false>},
        {"lessthan", ordered<-1, false>},
        {"<", ordered<-1, false>},
        {"le", ordered<-1, true>},
        {"<=", ordered<-1, true>},
        {"gt", ordered<1, false>},
        {"greaterthan", ordered<1, false>},
        {">", ordered<1, false>},
        {"ge", ordered<1, true>},
        {">=", ordered<1, true>},
    };
    return kTests;
}

}  // namespace

bool is_filter(std::string_view name) {
    return filters().contains(name);
}

bool is_test(std::string_view name) {
    return tests().contains(name);
}

Value Interpreter::filter(std::string_view name, const Value& value, const Arguments& arguments) {
    charge_reading(value);
    for (const Value& argument : arguments.positional) charge_reading(argument);
    return filters().at(name)(*this, value, arguments);
}

bool Interpreter::test(std::string_view name, const Value& value, const Arguments& arguments) {
    if (value.is_string()) charge_reading(value);
    for (const Value& argument : arguments.positional) charge_reading(argument);
    return tests().at(name)(value, arguments);
}

}  // namespace warpwright::jinja
