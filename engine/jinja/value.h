// SPDX-License-Identifier: Apache-2.0
// Values of templates: Python's None, numbers, strings, lists, dicts and functions, and Jinja's undefined.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "warpwright/types.h"

namespace warpwright::jinja {

// What is wrong with a template or came up in it; caught where a template is parsed or rendered.
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

class Value;
class Interpreter;
using Values = std::vector<Value>;

struct Arguments {
    Values positional;
    std::vector<std::pair<std::string, Value>> named;

    // The argument at `index` or of that name; null when absent.
    const Value* find(std::size_t index, std::string_view name) const;
    // More arguments, or others, than a function takes are an error.
    void check(std::string_view function, std::size_t most,
               std::initializer_list<std::string_view> names) const;
};

using Function = std::function<Value(Interpreter&, const Arguments&)>;

struct Undefined {
    std::string name;  // for the error's text
};
struct None {};

struct Sequence {
    Values items;
    bool tuple = false;
    int depth = 1;
    i64 bytes = 0;
};

struct Dict {
    std::vector<std::pair<Value, Value>> items;
    bool is_namespace = false;
    int depth = 1;
    i64 bytes = 0;

    const Value* find(const Value& key) const;
    const Value* find(std::string_view key) const;
    void set(Value key, Value value);
};

class Value {
public:
    Value() : data_(Undefined{}) {}
    Value(Undefined undefined) : data_(std::move(undefined)) {}  // NOLINT: implicit by design, as below
    Value(None none) : data_(none) {}                            // NOLINT
    Value(bool value) : data_(value) {}                          // NOLINT
    Value(i64 value) : data_(value) {}                           // NOLINT
    Value(double value) : data_(value) {}                        // NOLINT
    Value(std::string text) : data_(std::make_shared<const std::string>(std::move(text))) {}  // NOLINT
    Value(std::string_view text) : Value(std::string(text)) {}                                // NOLINT
    Value(const char* text) : Value(std::string(text)) {}                                     // NOLINT
    Value(std::shared_ptr<Dict> dict) : data_(std::move(dict)) {}                             // NOLINT
    static Value list(Values items, bool tuple = false);
    static Value dict(std::vector<std::pair<Value, Value>> items);
    static Value function(Function function);
    static Value from_json(const nlohmann::ordered_json& json);

    bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
    bool is_none() const { return std::holds_alternative<None>(data_); }
    bool is_bool() const { return std::holds_alternative<bool>(data_); }
    bool is_int() const { return std::holds_alternative<i64>(data_); }
    bool is_float() const { return std::holds_alternative<double>(data_); }
    bool is_number() const { return is_bool() || is_int() || is_float(); }
    bool is_string() const { return std::holds_alternative<std::shared_ptr<const std::string>>(data_); }
    bool is_list() const { return std::holds_alternative<std::shared_ptr<const Sequence>>(data_); }
    bool is_dict() const { return std::holds_alternative<std::shared_ptr<Dict>>(data_); }
    bool is_mapping() const { return is_dict() && !as_dict().is_namespace; }
    bool is_function() const { return std::holds_alternative<std::shared_ptr<const Function>>(data_); }

    const std::string& undefined_name() const { return std::get<Undefined>(data_).name; }
    const std::string& as_string() const { return *std::get<std::shared_ptr<const std::string>>(data_); }
    const Values& as_list() const { return std::get<std::shared_ptr<const Sequence>>(data_)->items; }
    bool is_tuple() const { return is_list() && std::get<std::shared_ptr<const Sequence>>(data_)->tuple; }
    Dict& as_dict() const { return *std::get<std::shared_ptr<Dict>>(data_); }
    const Function& as_function() const { return *std::get<std::shared_ptr<const Function>>(data_); }
    i64 as_int() const;        // of an int or bool; else an error
    double as_number() const;  // of a number; else an error

    bool truthy() const;
    std::string text() const;  // str(value)
    std::string repr() const;  // as it stands in a printed list
    const char* type_name() const;
    int depth() const;  // of nesting
    i64 bytes() const;  // about what printing it takes, each part counted as often as it stands there
    bool same_object(const Value& other) const;

private:
    std::variant<Undefined, None, bool, i64, double, std::shared_ptr<const std::string>,
                 std::shared_ptr<const Sequence>, std::shared_ptr<Dict>, std::shared_ptr<const Function>>
        data_;
};

bool equal(const Value& a, const Value& b);
// Below 0, 0, above 0; values that have no order are an error.
int compare(const Value& a, const Value& b);

// What json.dumps writes; `indent` below 0 is one line.
std::string to_json(const Value& value, int indent, std::string_view item_separator,
                    std::string_view key_separator, bool sort_keys, bool ascii);
std::string number_text(double value);  // Python's repr

}  // namespace warpwright::jinja
