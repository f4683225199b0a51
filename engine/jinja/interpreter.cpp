// SPDX-License-Identifier: Apache-2.0
#include "engine/jinja/interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/jinja/text.h"

namespace warpwright::jinja {

using Kind = Node::Kind;

struct Interpreter::Deeper {
    explicit Deeper(Interpreter& interpreter) : interpreter_(interpreter) {
        if (++interpreter_.depth_ > interpreter_.limits_.depth) {
            --interpreter_.depth_;
            throw Error(fmt::format("nested more than {} deep", interpreter_.limits_.depth));
        }
    }
    ~Deeper() { --interpreter_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;
    Interpreter& interpreter_;
};

Interpreter::~Interpreter() {
    for (const auto& scope : closures_) scope->names.clear();
    for (const auto& dict : namespaces_) dict->items.clear();
}

void Interpreter::charge_steps(i64 steps) {
    steps_ += steps;
    if (steps_ > limits_.steps) {
        throw Error(fmt::format("expected the template to end within {} steps", limits_.steps));
    }
}

void Interpreter::charge_bytes(i64 bytes) {
    bytes_ += bytes;
    if (bytes_ > limits_.bytes) {
        throw Error(fmt::format("expected at most {} bytes of text and lists on the way", limits_.bytes));
    }
}

void Interpreter::write(std::string_view text) {
    charge_bytes(static_cast<i64>(text.size()));
    *out_ += text;
    if (static_cast<i64>(out_->size()) > limits_.output_bytes) {
        throw Error(fmt::format("expected an output of at most {} bytes", limits_.output_bytes));
    }
}

std::string Interpreter::render(const Node& tree, std::vector<std::pair<std::string, Value>> variables) {
    auto root = std::make_shared<Scope>();
    closures_.push_back(root);
    for (auto& [name, value] : variables) root->names[std::move(name)] = std::move(value);
    scope_ = root;
    std::string out;
    out_ = &out;
    execute(tree);
    return out;
}

const Value* Interpreter::lookup(std::string_view name) const {
    for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
        const auto found = scope->names.find(name);
        if (found != scope->names.end()) return &found->second;
    }
    return nullptr;
}

// --- expressions

Value Interpreter::evaluate(const Node& node) {
    charge_steps(1);
    const Deeper deeper(*this);
    return evaluate_inner(node);
}

Value Interpreter::evaluate_inner(const Node& node) {
    switch (node.kind) {
        case Kind::constant: return node.value;
        case Kind::name:
            if (const Value* value = lookup(node.text)) return *value;
            if (is_global(node.text)) return global(node.text);
            return Undefined{node.text};
        case Kind::list:
        case Kind::tuple: {
            Values items;
            for (const NodePtr& child : node.children) items.push_back(evaluate(*child));
            charge_bytes(static_cast<i64>(items.size() * sizeof(Value)));
            return Value::list(std::move(items), node.kind == Kind::tuple);
        }
        case Kind::dict: {
            std::vector<std::pair<Value, Value>> items;
            for (std::size_t i = 0; i + 1 < node.children.size(); i += 2) {
                Value key = evaluate(*node.children[i]);
                items.emplace_back(std::move(key), evaluate(*node.children[i + 1]));
            }
            charge_bytes(static_cast<i64>(items.size() * 2 * sizeof(Value)));
            return Value::dict(std::move(items));
        }
        case Kind::attribute: return attribute_of(evaluate(*node.children[0]), node.text);
        case Kind::item: {
            const Value object = evaluate(*node.children[0]);
            return item_of(object, evaluate(*node.children[1]));
        }
        case Kind::slice: return slice(node);
        case Kind::call: {
            const Value function = evaluate(*node.children[0]);
            return call(function, arguments_of(node));
        }
        case Kind::filter: return filtered(node, nullptr);
        case Kind::test: {
            const Value value = evaluate(*node.children[0]);
            return test(node.text, value, arguments_of(node));
        }
        case Kind::unary: {
            const Value value = evaluate(*node.children[0]);
            if (node.text == "not") return !value.truthy();
            if (value.is_float()) return node.text == "-" ? -value.as_number() : value.as_number();
            return node.text == "-" ? binary("-", i64{0}, value) : Value(value.as_int());
        }
        case Kind::binary: {
            Value left = evaluate(*node.children[0]);
            if (node.text == "and" || node.text == "or") {
                return left.truthy() == (node.text == "or") ? left : evaluate(*node.children[1]);
            }
            return binary(node.text, left, evaluate(*node.children[1]));
        }
        case Kind::comparison: return comparison(node);
        case Kind::conditional:
            if (evaluate(*node.children[1]).truthy()) return evaluate(*node.children[0]);
            return node.children[2] != nullptr ? evaluate(*node.children[2]) : Value();
        default: throw Error("no expression");
    }
}

Arguments Interpreter::arguments_of(const Node& node) {
    Arguments arguments;
    for (std::size_t i = 1; i < node.children.size(); ++i) {
        Value value = evaluate(*node.children[i]);
        if (node.names[i].empty())
            arguments.positional.push_back(std::move(value));
        else
            arguments.named.emplace_back(node.names[i], std::move(value));
    }
    return arguments;
}

// A filter's value; with `front`, that stands for what is at the head of the chain.
Value Interpreter::filtered(const Node& node, const Value* front) {
    if (node.kind != Kind::filter)
        return front != nullptr && node.kind == Kind::constant ? *front : evaluate(node);
    const Deeper deeper(*this);
    const Value value = front != nullptr ? filtered(*node.children[0], front) : evaluate(*node.children[0]);
    return filter(node.text, value, arguments_of(node));
}

Value Interpreter::comparison(const Node& node) {
    Value left = evaluate(*node.children[0]);
    for (std::size_t i = 1; i < node.children.size(); ++i) {
        const std::string& operation = node.names[i];
        Value right = evaluate(*node.children[i]);
        charge_reading(left);
        charge_reading(right);
        bool holds = false;
        if (operation == "==" || operation == "!=") {
            holds = equal(left, right) == (operation == "==");
        } else if (operation == "in" || operation == "not in") {
            holds = contains(right, left) == (operation == "in");
        } else {
            const int order = compare(left, right);
            holds = operation == "<"    ? order < 0
                    : operation == "<=" ? order <= 0
                    : operation == ">"  ? order > 0
                                        : order >= 0;
        }
        if (!holds) return false;
        left = std::move(right);
    }
    return true;
}

Value Interpreter::slice(const Node& node) {
    const Value object = evaluate(*node.children[0]);
    const auto bound = [&](std::size_t i) {
        return node.children[i] != nullptr ? evaluate(*node.children[i]) : Value(None{});
    };
    const Value start = bound(1);
    const Value stop = bound(2);
    const Value step_value = bound(3);
    const i64 step = step_value.is_none() ? 1 : step_value.as_int();
    if (step == 0) throw Error("a slice's step is zero");
    std::vector<std::string_view> characters;
    if (object.is_string()) {
        characters = characters_of(object.as_string());
    } else if (!object.is_list()) {
        if (object.is_undefined()) throw Error(fmt::format("'{:.80}' is undefined", object.undefined_name()));
        throw Error(fmt::format("a {} has no slices", object.type_name()));
    }
    const i64 size = static_cast<i64>(object.is_string() ? characters.size() : object.as_list().size());
    charge_steps(size / 16);
    const auto clamp = [&](const Value& value, i64 fallback) {
        if (value.is_none()) return fallback;
        i64 at = value.as_int();
        if (at < 0) at = std::max<i64>(at + size, step > 0 ? 0 : -1);
        return std::min(at, step > 0 ? size : size - 1);
    };
    const i64 from = clamp(start, step > 0 ? 0 : size - 1);
    const i64 to = clamp(stop, step > 0 ? size : -1);
    std::string text;
    Values items;
    const i64 stride = std::clamp<i64>(step, -size - 1, size + 1);
    for (i64 i = from; step > 0 ? i < to : i > to; i += stride) {
        if (object.is_string())
            text += characters[static_cast<std::size_t>(i)];
        else
            items.push_back(object.as_list()[static_cast<std::size_t>(i)]);
    }
    charge_bytes(static_cast<i64>(text.size() + items.size() * sizeof(Value)));
    if (object.is_string()) return text;
    return Value::list(std::move(items), object.is_tuple());
}

namespace {

[[noreturn]] void mismatch(std::string_view operation, const Value& left, const Value& right) {
    for (const Value* value : {&left, &right}) {
        if (value->is_undefined()) throw Error(fmt::format("'{:.80}' is undefined", value->undefined_name()));
    }
    throw Error(
        fmt::format("'{}' of {} and {} is not supported", operation, left.type_name(), right.type_name()));
}

i64 floor_divided(i64 a, i64 b) {
    const i64 quotient = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

Value integers(std::string_view operation, i64 a, i64 b) {
    i64 result = 0;
    bool overflow = false;
    if (operation == "+") {
        overflow = __builtin_add_overflow(a, b, &result);
    } else if (operation == "-") {
        overflow = __builtin_sub_overflow(a, b, &result);
    } else if (operation == "*") {
        overflow = __builtin_mul_overflow(a, b, &result);
    } else if (operation == "**") {
        if (b < 0) return std::pow(static_cast<double>(a), static_cast<double>(b));
        result = 1;
        for (i64 i = 0; i < b && !overflow && result != 0; ++i) {
            if (a == 1 || a == -1) return a == 1 || b % 2 == 0 ? i64{1} : i64{-1};
            overflow = __builtin_mul_overflow(result, a, &result);
        }
    } else {
        if (b == 0) throw Error("division by zero");
        if (operation == "/") return static_cast<double>(a) / static_cast<double>(b);
        if (b == -1) return operation == "%" ? Value(i64{0}) : integers("-", 0, a);
        result = operation == "//" ? floor_divided(a, b) : a - floor_divided(a, b) * b;
    }
    if (overflow) throw Error(fmt::format("{} {} {} is beyond 64 bits", a, operation, b));
    return result;
}

Value reals(std::string_view operation, double a, double b) {
    if (operation == "+") return a + b;
    if (operation == "-") return a - b;
    if (operation == "*") return a * b;
    if (operation == "**") return std::pow(a, b);
    if (b == 0) throw Error("division by zero");
    if (operation == "/") return a / b;
    const double remainder = std::fmod(a, b);
    const double modulo = remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
    return operation == "%" ? modulo : std::round((a - modulo) / b);
}

}  // namespace

Value Interpreter::binary(std::string_view operation, const Value& left, const Value& right) {
    charge_reading(left);
    charge_reading(right);
    if (operation == "~") {
        std::string text = left.text() + right.text();
        charge_bytes(static_cast<i64>(text.size()));
        return text;
    }
    if (left.is_number() && right.is_number()) {
        if (left.is_float() || right.is_float()) return reals(operation, left.as_number(), right.as_number());
        return integers(operation, left.as_int(), right.as_int());
    }
    if (operation == "+" && left.is_string() && right.is_string()) {
        charge_bytes(static_cast<i64>(left.as_string().size() + right.as_string().size()));
        return left.as_string() + right.as_string();
    }
    if (operation == "+" && left.is_list() && right.is_list() && left.is_tuple() == right.is_tuple()) {
        charge_bytes(static_cast<i64>((left.as_list().size() + right.as_list().size()) * sizeof(Value)));
        Values items = left.as_list();
        items.insert(items.end(), right.as_list().begin(), right.as_list().end());
        return Value::list(std::move(items), left.is_tuple());
    }
    if (operation == "*" && (left.is_string() || left.is_list()) && right.is_number() && !right.is_float()) {
        const i64 times = std::max<i64>(right.as_int(), 0);
        const std::size_t size =
            left.is_string() ? left.as_string().size() : left.as_list().size() * sizeof(Value);
        if (size > 0 && times > limits_.bytes / static_cast<i64>(size)) charge_bytes(limits_.bytes);
        charge_bytes(times * static_cast<i64>(size));
        std::string text;
        Values items;
        for (i64 i = 0; i < times && size > 0; ++i) {
            if (left.is_string())
                text += left.as_string();
            else
                items.insert(items.end(), left.as_list().begin(), left.as_list().end());
        }
        if (left.is_string()) return text;
        return Value::list(std::move(items), left.is_tuple());
    }
    if (operation == "*" && left.is_number() && (right.is_string() || right.is_list())) {
        return binary("*", right, left);
    }
    mismatch(operation, left, right);
}

Value Interpreter::attribute_of(const Value& object, std::string_view name) {
    if (object.is_undefined()) throw Error(fmt::format("'{:.80}' is undefined", object.undefined_name()));
    if (object.is_dict() && object.as_dict().is_namespace) {
        const Value* found = object.as_dict().find(name);
        return found != nullptr ? *found : Value(Undefined{std::string(name)});
    }
    const Value method = method_of(object, name);
    if (!method.is_undefined()) return method;
    if (object.is_dict()) {
        if (const Value* found = object.as_dict().find(name)) return *found;
    }
    return Undefined{std::string(name)};
}

Value Interpreter::item_of(const Value& object, const Value& key) {
    if (object.is_undefined()) throw Error(fmt::format("'{:.80}' is undefined", object.undefined_name()));
    if (object.is_dict()) {
        charge_steps(static_cast<i64>(object.as_dict().items.size() / 16));
        if (const Value* found = object.as_dict().find(key)) return *found;
    } else if ((object.is_list() || object.is_string()) && (key.is_int() || key.is_bool())) {
        std::vector<std::string_view> characters;
        if (object.is_string()) characters = characters_of(object.as_string());
        const i64 size = static_cast<i64>(object.is_list() ? object.as_list().size() : characters.size());
        if (object.is_string()) charge_steps(size / 16);
        const i64 index = key.as_int() < 0 ? key.as_int() + size : key.as_int();
        if (index < 0 || index >= size) return Undefined{key.text()};
        if (object.is_string()) return characters[static_cast<std::size_t>(index)];
        return object.as_list()[static_cast<std::size_t>(index)];
    }
    if (key.is_string()) return attribute_of(object, key.as_string());
    return Undefined{key.text()};
}

Value Interpreter::call(const Value& function, const Arguments& arguments) {
    if (function.is_undefined()) throw Error(fmt::format("'{:.80}' is undefined", function.undefined_name()));
    if (!function.is_function()) throw Error(fmt::format("a {} cannot be called", function.type_name()));
    return function.as_function()(*this, arguments);
}

Values Interpreter::items_of(const Value& value) {
    Values items;
    if (value.is_list()) {
        items = value.as_list();
    } else if (value.is_mapping()) {
        for (const auto& entry : value.as_dict().items) items.push_back(entry.first);
    } else if (value.is_string()) {
        charge_bytes(static_cast<i64>(value.as_string().size() * sizeof(Value)));
        for (const std::string_view character : characters_of(value.as_string()))
            items.emplace_back(character);
    } else if (!value.is_undefined()) {
        throw Error(fmt::format("a {} cannot be looped over", value.type_name()));
    }
    charge_bytes(static_cast<i64>(items.size() * sizeof(Value)));
    return items;
}

Value Interpreter::namespace_of(std::vector<std::pair<Value, Value>> items) {
    auto dict = std::make_shared<Dict>();
    dict->is_namespace = true;
    for (auto& [key, value] : items) dict->set(std::move(key), std::move(value));
    namespaces_.push_back(dict);
    charge_bytes(256);
    return dict;
}

// --- statements

Interpreter::Flow Interpreter::execute(const Node& node) {
    charge_steps(1);
    const Deeper deeper(*this);
    try {
        switch (node.kind) {
            case Kind::body:
                for (const NodePtr& child : node.children) {
                    if (const Flow flow = execute(*child); flow != Flow::on) return flow;
                }
                return Flow::on;
            case Kind::data: write(node.text); return Flow::on;
            case Kind::print: write(evaluate(*node.children[0]).text()); return Flow::on;
            case Kind::branch:
                for (std::size_t i = 0; i < node.children.size(); i += 2) {
                    if (i + 1 == node.children.size()) return execute(*node.children[i]);
                    if (evaluate(*node.children[i]).truthy()) return execute(*node.children[i + 1]);
                }
                return Flow::on;
            case Kind::loop: return loop(node);
            case Kind::assign: assign(*node.children[0], evaluate(*node.children[1])); return Flow::on;
            case Kind::assign_body: {
                Value text = capture(*node.children[1]);
                if (node.children[2] != nullptr) text = filtered(*node.children[2], &text);
                assign(*node.children[0], text);
                return Flow::on;
            }
            case Kind::macro: scope_->names[node.text] = macro(node); return Flow::on;
            case Kind::call_body: {
                const Node& call_node = *node.children[0];
                const Value function = evaluate(*call_node.children[0]);
                Arguments arguments = arguments_of(call_node);
                arguments.named.emplace_back("caller", macro(*node.children[1]));
                write(call(function, arguments).text());
                return Flow::on;
            }
            case Kind::filter_body: {
                const Value text = capture(*node.children[1]);
                write(filtered(*node.children[0], &text).text());
                return Flow::on;
            }
            case Kind::with: {
                auto inner = std::make_shared<Scope>();
                inner->parent = scope_;
                for (std::size_t i = 0; i + 1 < node.children.size(); i += 2) {
                    inner->names[node.children[i]->text] = evaluate(*node.children[i + 1]);
                }
                const auto outer = scope_;
                scope_ = inner;
                const Flow flow = execute(*node.children.back());
                scope_ = outer;
                return flow;
            }
            case Kind::leave: return Flow::leave;
            case Kind::next: return Flow::next;
            default: throw Error("no statement");
        }
    } catch (const Error& error) {
        if (std::string_view(error.what()).starts_with("line ")) throw;
        throw Error(fmt::format("line {}: {}", node.line, error.what()));
    }
}

void Interpreter::assign(const Node& target, const Value& value) {
    if (target.kind == Kind::name) {
        scope_->names[target.text] = value;
    } else if (target.kind == Kind::attribute) {
        const Value object = evaluate(*target.children[0]);
        if (!object.is_dict() || !object.as_dict().is_namespace) {
            throw Error(fmt::format("expected a namespace to set '{:.40}' of, got {}", target.text,
                                    object.type_name()));
        }
        object.as_dict().set(target.text, value);
    } else {
        const Values items = items_of(value);
        if (items.size() != target.children.size()) {
            throw Error(
                fmt::format("expected {} values to unpack, got {}", target.children.size(), items.size()));
        }
        for (std::size_t i = 0; i < items.size(); ++i) assign(*target.children[i], items[i]);
    }
}

std::string Interpreter::capture(const Node& body) {
    std::string text;
    std::string* const outer = out_;
    const auto outer_scope = scope_;
    scope_ = std::make_shared<Scope>();
    scope_->parent = outer_scope;
    out_ = &text;
    execute(body);  // an error ends the whole rendering: nothing is restored for it
    out_ = outer;
    scope_ = outer_scope;
    return text;
}

Value Interpreter::macro(const Node& node) {
    closures_.push_back(scope_);
    charge_bytes(64);
    const std::shared_ptr<Scope> home = scope_;
    const std::size_t num_parameters = node.names.size();
    return Value::function(
        [this, &node, home, num_parameters](Interpreter&, const Arguments& arguments) -> Value {
            const std::string name = node.text.empty() ? "caller" : node.text;
            if (arguments.positional.size() > num_parameters) {
                throw Error(fmt::format("macro {}: expected at most {} arguments, got {}", name,
                                        num_parameters, arguments.positional.size()));
            }
            auto inner = std::make_shared<Scope>();
            inner->parent = home;
            for (const auto& [key, value] : arguments.named) {
                const bool known = std::find(node.names.begin(), node.names.end(), key) != node.names.end();
                if (!known && key != "caller")
                    throw Error(fmt::format("macro {}: unexpected argument '{:.40}'", name, key));
                inner->names[key] = value;
            }
            const auto outer = scope_;
            scope_ = inner;
            for (std::size_t i = 0; i < num_parameters; ++i) {
                if (const Value* value = arguments.find(i, node.names[i]))
                    inner->names[node.names[i]] = *value;
                else if (node.children[i] != nullptr)
                    inner->names[node.names[i]] = evaluate(*node.children[i]);
                else
                    inner->names[node.names[i]] = Undefined{node.names[i]};
            }
            std::string text = capture(*node.children.back());
            scope_ = outer;
            return text;
        });
}

// --- loops

namespace {

// `loop` as a body sees it; one object per loop, updated by each turn.
struct LoopState {
    Values items;
    i64 index = 0;
    Value changed;
    bool has_changed = false;
};

Value loop_object(const std::shared_ptr<LoopState>& state) {
    const i64 size = static_cast<i64>(state->items.size());
    const i64 at = state->index;
    auto dict = std::make_shared<Dict>();
    dict->is_namespace = true;
    const auto set = [&](const char* name, Value value) { dict->items.emplace_back(name, std::move(value)); };
    set("index", at + 1);
    set("index0", at);
    set("revindex", size - at);
    set("revindex0", size - at - 1);
    set("first", at == 0);
    set("last", at == size - 1);
    set("length", size);
    set("depth", i64{1});
    set("depth0", i64{0});
    if (at > 0) set("previtem", state->items[static_cast<std::size_t>(at - 1)]);
    if (at + 1 < size) set("nextitem", state->items[static_cast<std::size_t>(at + 1)]);
    set("cycle", Value::function([at](Interpreter&, const Arguments& arguments) -> Value {
            if (arguments.positional.empty()) throw Error("loop.cycle: expected an argument");
            return arguments.positional[static_cast<std::size_t>(at) % arguments.positional.size()];
        }));
    // The state holds the last values only, never this object.
    set("changed", Value::function([weak = std::weak_ptr<LoopState>(state)](
                                       Interpreter&, const Arguments& arguments) -> Value {
            const auto held = weak.lock();
            if (held == nullptr) throw Error("loop.changed: the loop is over");
            Value now = Value::list(arguments.positional, true);
            const bool changed = !held->has_changed || !equal(held->changed, now);
            held->changed = std::move(now);
            held->has_changed = true;
            return changed;
        }));
    return dict;
}

}  // namespace

Interpreter::Flow Interpreter::loop(const Node& node) {
    const auto outer = scope_;
    auto state = std::make_shared<LoopState>();
    Values all = items_of(evaluate(*node.children[1]));
    const auto enter = [&] {
        scope_ = std::make_shared<Scope>();
        scope_->parent = outer;
    };
    if (node.children[2] == nullptr) {
        state->items = std::move(all);
    } else {
        for (const Value& item : all) {
            enter();
            assign(*node.children[0], item);
            if (evaluate(*node.children[2]).truthy()) state->items.push_back(item);
            scope_ = outer;
        }
    }
    for (const Value& item : state->items) {
        charge_steps(16);  // the loop's object
        enter();
        assign(*node.children[0], item);
        scope_->names["loop"] = loop_object(state);
        const Flow flow = execute(*node.children[3]);
        scope_ = outer;
        ++state->index;
        if (flow == Flow::leave) break;
    }
    Flow flow = Flow::on;
    if (state->items.empty() && node.children[4] != nullptr) {
        enter();
        flow = execute(*node.children[4]);
        scope_ = outer;
    }
    return flow;
}

}  // namespace warpwright::jinja
