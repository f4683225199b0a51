// SPDX-License-Identifier: Apache-2.0
// Runs a template's tree, within bounds: steps, bytes of text made, and depth.
#pragma once

#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/jinja/syntax.h"

namespace warpwright::jinja {

struct Limits {
    i64 steps = 5'000'000;  // nodes of the tree run; a real prompt takes some thousands
    i64 bytes = 256 << 20;  // of text and lists made on the way
    i64 output_bytes = 16 << 20;
    int depth = 400;  // of expressions, blocks and macros in each other
};

struct Scope {
    std::shared_ptr<Scope> parent;
    std::map<std::string, Value, std::less<>> names;
};

class Interpreter {
public:
    Interpreter(const Limits& limits, std::time_t now) : limits_(limits), now_(now) {}
    ~Interpreter();
    Interpreter(const Interpreter&) = delete;
    Interpreter& operator=(const Interpreter&) = delete;

    std::string render(const Node& tree, std::vector<std::pair<std::string, Value>> variables);

    // What work costs: text or list elements made.
    void charge_bytes(i64 bytes);
    void charge_steps(i64 steps);
    void charge_reading(const Value& value) { charge_steps(value.bytes() / 1024); }
    std::time_t now() const { return now_; }

    Value attribute_of(const Value& object, std::string_view name);
    Value item_of(const Value& object, const Value& key);
    Value call(const Value& function, const Arguments& arguments);
    Value filter(std::string_view name, const Value& value, const Arguments& arguments);
    bool test(std::string_view name, const Value& value, const Arguments& arguments);
    // What a loop over the value runs through; an error where nothing does.
    Values items_of(const Value& value);
    Value namespace_of(std::vector<std::pair<Value, Value>> items);
    Value binary(std::string_view operation, const Value& left, const Value& right);

private:
    enum class Flow { on, leave, next };
    struct Deeper;

    Value evaluate(const Node& node);
    Value evaluate_inner(const Node& node);
    Value slice(const Node& node);
    Value comparison(const Node& node);
    Value filtered(const Node& node, const Value* front);
    Arguments arguments_of(const Node& node);
    const Value* lookup(std::string_view name) const;

    Flow execute(const Node& node);
    Flow loop(const Node& node);
    void assign(const Node& target, const Value& value);
    Value macro(const Node& node);
    std::string capture(const Node& body);
    void write(std::string_view text);

    Limits limits_;
    std::time_t now_;
    i64 steps_ = 0, bytes_ = 0;
    int depth_ = 0;
    std::string* out_ = nullptr;
    std::shared_ptr<Scope> scope_;
    std::vector<std::shared_ptr<Scope>> closures_;   // macros hold them, and they hold macros
    std::vector<std::shared_ptr<Dict>> namespaces_;  // may hold themselves
};

// The function of a string, list or dict; undefined when there is none.
Value method_of(const Value& object, std::string_view name);
bool is_global(std::string_view name);
Value global(std::string_view name);
bool contains(const Value& container, const Value& value);

}  // namespace warpwright::jinja
