// SPDX-License-Identifier: Apache-2.0
// Methods of strings, lists and dicts, and the global functions. What would change a list or dict is an
// error, as in the sandbox that transformers renders in.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <unordered_map>

#include "engine/jinja/interpreter.h"
#include "engine/jinja/text.h"
#include "engine/utf8.h"

namespace warpwright::jinja {
namespace {

using Method = Value (*)(Interpreter&, const Value&, const Arguments&);

const std::string& text_argument(const Arguments& arguments, std::size_t index, std::string_view name) {
    const Value* value = arguments.find(index, name);
    if (value == nullptr || !value->is_string()) {
        throw Error(fmt::format("expected text as argument {}, got {}", index + 1,
                                value == nullptr ? "nothing" : value->type_name()));
    }
    return value->as_string();
}

i64 int_argument(const Arguments& arguments, std::size_t index, std::string_view name, i64 fallback) {
    const Value* value = arguments.find(index, name);
    return value == nullptr || value->is_none() ? fallback : value->as_int();
}

Value text_list(Interpreter& interpreter, const std::vector<std::string_view>& parts) {
    Values items;
    i64 bytes = 0;
    for (const std::string_view part : parts) {
        items.emplace_back(part);
        bytes += static_cast<i64>(part.size() + sizeof(Value));
    }
    interpreter.charge_bytes(bytes);
    return Value::list(std::move(items));
}

template <bool left, bool right>
Value strip(Interpreter&, const Value& self, const Arguments& arguments) {
    const Value* set = arguments.find(0, "chars");
    const bool plain = set == nullptr || set->is_none();
    const std::string* characters = plain ? nullptr : &text_argument(arguments, 0, "chars");
    return stripped(self.as_string(), left, right, characters);
}

Value split(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const i64 most = int_argument(arguments, 1, "maxsplit", -1);
    const Value* separator = arguments.find(0, "sep");
    if (separator == nullptr || separator->is_none()) {
        return text_list(interpreter, split_at_space(self.as_string(), most));
    }
    const std::string& text = text_argument(arguments, 0, "sep");
    if (text.empty()) throw Error("split: expected a separator, got ''");
    return text_list(interpreter, split_at(self.as_string(), text, most));
}

Value rsplit(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const i64 most = int_argument(arguments, 1, "maxsplit", -1);
    if (most < 0) return split(interpreter, self, arguments);
    const std::string& separator = text_argument(arguments, 0, "sep");
    if (separator.empty()) throw Error("rsplit: expected a separator, got ''");
    std::vector<std::string_view> parts;
    std::string_view rest = self.as_string();
    while (static_cast<i64>(parts.size()) < most) {
        const std::size_t found = rest.rfind(separator);
        if (found == rest.npos) break;
        parts.push_back(rest.substr(found + separator.size()));
        rest = rest.substr(0, found);
    }
    parts.push_back(rest);
    std::reverse(parts.begin(), parts.end());
    return text_list(interpreter, parts);
}

template <bool start>
Value has_end(Interpreter&, const Value& self, const Arguments& arguments) {
    const Value* wanted = arguments.find(0, "prefix");
    const auto matches = [&](const std::string& part) {
        return start ? self.as_string().starts_with(part) : self.as_string().ends_with(part);
    };
    if (wanted != nullptr && wanted->is_tuple()) {
        for (const Value& part : wanted->as_list()) {
            if (part.is_string() && matches(part.as_string())) return true;
        }
        return false;
    }
    return matches(text_argument(arguments, 0, "prefix"));
}

template <std::string (*change)(std::string_view)>
Value changed(Interpreter& interpreter, const Value& self, const Arguments&) {
    interpreter.charge_bytes(static_cast<i64>(self.as_string().size()));
    return change(self.as_string());
}

template <bool backwards>
Value find(Interpreter&, const Value& self, const Arguments& arguments) {
    const std::string& text = self.as_string();
    const std::string& part = text_argument(arguments, 0, "sub");
    const std::size_t found = backwards ? text.rfind(part) : text.find(part);
    return found == text.npos ? i64{-1} : num_characters(std::string_view(text).substr(0, found));
}

Value count(Interpreter&, const Value& self, const Arguments& arguments) {
    if (self.is_list()) {
        if (arguments.positional.size() != 1) throw Error("count: expected one argument");
        const auto same = [&](const Value& item) { return equal(item, arguments.positional[0]); };
        return i64{std::count_if(self.as_list().begin(), self.as_list().end(), same)};
    }
    const std::string& part = text_argument(arguments, 0, "sub");
    if (part.empty()) return num_characters(self.as_string()) + 1;
    return static_cast<i64>(split_at(self.as_string(), part, -1).size()) - 1;
}

Value index_of(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    if (self.is_string()) {
        Value found = find<false>(interpreter, self, arguments);
        if (found.as_int() < 0) throw Error("index: no such text");
        return found;
    }
    for (std::size_t i = 0; i < self.as_list().size() && !arguments.positional.empty(); ++i) {
        if (equal(self.as_list()[i], arguments.positional[0])) return static_cast<i64>(i);
    }
    throw Error("index: no such item");
}

Value join(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    if (arguments.positional.size() != 1) throw Error("join: expected one argument");
    std::string out;
    bool first = true;
    for (const Value& item : interpreter.items_of(arguments.positional[0])) {
        if (!item.is_string()) throw Error(fmt::format("join: expected text, got {}", item.type_name()));
        interpreter.charge_bytes(static_cast<i64>(item.as_string().size() + self.as_string().size()));
        if (!first) out += self.as_string();
        first = false;
        out += item.as_string();
    }
    return out;
}

Value lines(Interpreter& interpreter, const Value& self, const Arguments&) {
    return text_list(interpreter, lines_of(self.as_string()));
}

template <bool prefix>
Value without_end(Interpreter&, const Value& self, const Arguments& arguments) {
    std::string_view text = self.as_string();
    const std::string& part = text_argument(arguments, 0, "");
    if (prefix && text.starts_with(part)) text.remove_prefix(part.size());
    if (!prefix && text.ends_with(part)) text.remove_suffix(part.size());
    return text;
}

template <int (*in_class)(int)>
Value all_of(Interpreter&, const Value& self, const Arguments&) {
    const std::string& text = self.as_string();
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return in_class(static_cast<u8>(c)) != 0; });
}

template <std::string (*change)(std::string_view)>
Value is_cased(Interpreter&, const Value& self, const Arguments&) {
    const std::string& text = self.as_string();
    return change(text) == text && lowered(text) != uppered(text);
}

std::string title(std::string_view text) {
    return titled(text, false);
}

Value items(Interpreter& interpreter, const Value& self, const Arguments&) {
    Values out;
    for (const auto& [key, value] : self.as_dict().items) out.push_back(Value::list({key, value}, true));
    interpreter.charge_bytes(static_cast<i64>(out.size() * 8 * sizeof(Value)));
    return Value::list(std::move(out));
}

Value keys(Interpreter& interpreter, const Value& self, const Arguments&) {
    return Value::list(interpreter.items_of(self));
}

Value values(Interpreter& interpreter, const Value& self, const Arguments&) {
    Values out;
    for (const auto& entry : self.as_dict().items) out.push_back(entry.second);
    interpreter.charge_bytes(static_cast<i64>(out.size() * sizeof(Value)));
    return Value::list(std::move(out));
}

Value get(Interpreter&, const Value& self, const Arguments& arguments) {
    if (arguments.positional.empty()) throw Error("get: expected a key");
    if (const Value* found = self.as_dict().find(arguments.positional[0])) return *found;
    const Value* fallback = arguments.find(1, "default");
    return fallback != nullptr ? *fallback : Value(None{});
}

Value copy(Interpreter&, const Value& self, const Arguments&) {
    return self;  // nothing changes either
}

Value refused(Interpreter&, const Value& self, const Arguments&) {
    throw Error(fmt::format("a template must not change a {}", self.type_name()));
}

Value replaced(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    return interpreter.filter("replace", self, arguments);
}

using Methods = std::unordered_map<std::string_view, Method>;

const Methods& methods_of(const Value& object) {
    static const Methods kText = {
        {"strip", strip<true, true>},
        {"lstrip", strip<true, false>},
        {"rstrip", strip<false, true>},
        {"split", split},
        {"rsplit", rsplit},
        {"splitlines", lines},
        {"startswith", has_end<true>},
        {"endswith", has_end<false>},
        {"removeprefix", without_end<true>},
        {"removesuffix", without_end<false>},
        {"lower", changed<lowered>},
        {"upper", changed<uppered>},
        {"capitalize", changed<capitalized>},
        {"title", changed<title>},
        {"replace", replaced},
        {"find", find<false>},
        {"rfind", find<true>},
        {"index", index_of},
        {"count", count},
        {"join", join},
        {"isdigit", all_of<isdigit>},
        {"isalpha", all_of<isalpha>},
        {"isalnum", all_of<isalnum>},
        {"isspace", all_of<isspace>},
        {"isupper", is_cased<uppered>},
        {"islower", is_cased<lowered>},
    };
    static const Methods kList = {{"index", index_of}, {"count", count},    {"copy", copy},
                                  {"append", refused}, {"extend", refused}, {"insert", refused},
                                  {"pop", refused},    {"remove", refused}, {"clear", refused},
                                  {"sort", refused},   {"reverse", refused}};
    static const Methods kDict = {{"items", items},    {"keys", keys},          {"values", values},
                                  {"get", get},        {"copy", copy},          {"update", refused},
                                  {"pop", refused},    {"setdefault", refused}, {"clear", refused},
                                  {"popitem", refused}};
    static const Methods kNone;
    return object.is_string() ? kText : object.is_list() ? kList : object.is_mapping() ? kDict : kNone;
}

// --- global functions

Value range(Interpreter& interpreter, const Arguments& arguments) {
    arguments.check("range", 3, {});
    const Values& given = arguments.positional;
    if (given.empty()) throw Error("range: expected an argument");
    const i64 from = given.size() == 1 ? 0 : given[0].as_int();
    const i64 to = given.size() == 1 ? given[0].as_int() : given[1].as_int();
    const i64 step = given.size() == 3 ? given[2].as_int() : 1;
    constexpr i64 kMost = 100'000;  // the sandbox's bound too
    if (step == 0) throw Error("range: a step of 0");
    Values items;
    for (i64 i = from; step > 0 ? i < to : i > to;) {
        items.emplace_back(i);
        if (static_cast<i64>(items.size()) > kMost)
            throw Error(fmt::format("range: more than {} numbers", kMost));
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    interpreter.charge_bytes(static_cast<i64>(items.size() * sizeof(Value)));
    return Value::list(std::move(items));
}

std::vector<std::pair<Value, Value>> named_items(const Arguments& arguments, std::string_view function) {
    std::vector<std::pair<Value, Value>> items;
    if (arguments.positional.size() > 1 ||
        (arguments.positional.size() == 1 && !arguments.positional[0].is_mapping())) {
        throw Error(fmt::format("{}: expected named arguments", function));
    }
    if (!arguments.positional.empty()) items = arguments.positional[0].as_dict().items;
    for (const auto& [name, value] : arguments.named) items.emplace_back(name, value);
    return items;
}

Value raise(Interpreter&, const Arguments& arguments) {
    const Value* message = arguments.find(0, "message");
    throw Error(fmt::format("the template raises: {:.500}", message == nullptr ? "" : message->text()));
}

Value now(Interpreter& interpreter, const Arguments& arguments) {
    const std::string& format = text_argument(arguments, 0, "format");
    if (format.empty()) return "";
    if (format.size() > 200) throw Error("strftime_now: expected a format of at most 200 bytes");
    const std::time_t time = interpreter.now();
    std::tm local{};
    localtime_r(&time, &local);
    std::string text(4096, '\0');
    text.resize(std::strftime(text.data(), text.size(), format.c_str(), &local));
    return text;
}

using Globals = std::unordered_map<std::string_view, Function>;

const Globals& globals() {
    static const Globals kGlobals = {
        {"range", range},
        {"raise_exception", raise},
        {"strftime_now", now},
        {"namespace",
         [](Interpreter& interpreter, const Arguments& arguments) {
             return interpreter.namespace_of(named_items(arguments, "namespace"));
         }},
        {"dict",
         [](Interpreter& interpreter, const Arguments& arguments) {
             auto items = named_items(arguments, "dict");
             interpreter.charge_bytes(static_cast<i64>(items.size() * 2 * sizeof(Value)));
             return Value::dict(std::move(items));
         }},
    };
    return kGlobals;
}

}  // namespace

Value method_of(const Value& object, std::string_view name) {
    const Methods& methods = methods_of(object);
    const auto found = methods.find(name);
    if (found == methods.end()) return Undefined{std::string(name)};
    return Value::function(
        [object, method = found->second](Interpreter& interpreter, const Arguments& arguments) {
            interpreter.charge_reading(object);
            for (const Value& argument : arguments.positional) interpreter.charge_reading(argument);
            return method(interpreter, object, arguments);
        });
}

bool is_global(std::string_view name) {
    return globals().contains(name);
}

Value global(std::string_view name) {
    return Value::function(globals().at(name));
}

bool contains(const Value& container, const Value& value) {
    if (container.is_string()) {
        if (!value.is_string())
            throw Error(fmt::format("'in' text: expected text, got {}", value.type_name()));
        return container.as_string().find(value.as_string()) != std::string::npos;
    }
    if (container.is_list()) {
        return std::any_of(container.as_list().begin(), container.as_list().end(),
                           [&](const Value& item) { return equal(item, value); });
    }
    if (container.is_mapping()) return container.as_dict().find(value) != nullptr;
    if (container.is_undefined()) return false;
    throw Error(fmt::format("'in': expected a list, dict or text, got {}", container.type_name()));
}

}  // namespace warpwright::jinja
