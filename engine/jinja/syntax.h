// SPDX-License-Identifier: Apache-2.0
// A template's tokens and its tree. Semantics: Jinja 3.1 with trim_blocks, lstrip_blocks, loop controls and
// the `generation` tag, as transformers sets it up.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/jinja/value.h"

namespace warpwright::jinja {

struct Token {
    enum class Kind {
        data,
        print_begin,
        print_end,
        block_begin,
        block_end,
        name,
        string,
        integer,
        number,
        mark,
        end
    };
    Kind kind = Kind::end;
    std::string text;
    int line = 1;
};
std::vector<Token> tokenize(std::string_view source);

struct Node {
    enum class Kind {
        // expressions
        constant,
        name,
        list,
        tuple,
        dict,         // key, value, key, value ...
        attribute,    // of children[0], called text
        item,         // children[0][children[1]]
        slice,        // children[0][children[1]:[2]:[3]], each but [0] may be null
        call,         // children[0](the others), names beside them: "" for a positional one
        filter,       // children[0] | text(the others)
        test,         // children[0] is text(the others)
        unary,        // text: - + not
        binary,       // text: + - * / // % ** ~ and or
        comparison,   // children[0] names[1] children[1] names[2] ...
        conditional,  // children[0] if children[1] else children[2], which may be null
        // statements
        body,
        data,
        print,
        branch,       // condition, body, condition, body ..., body of else
        loop,         // target, values, condition or null, body, body of else or null
        assign,       // target, value
        assign_body,  // target, body, filter chain or null
        macro,        // text(names), defaults: null where there is none; last the body
        call_body,    // a call, and a macro without a name
        filter_body,  // a filter chain, body
        with,         // target, value, target, value ..., body
        leave,        // break
        next,         // continue
    };
    Kind kind = Kind::body;
    int line = 1;
    std::string text;
    Value value;
    std::vector<std::unique_ptr<Node>> children;
    std::vector<std::string> names;
};
using NodePtr = std::unique_ptr<Node>;

NodePtr parse(const std::vector<Token>& tokens);

bool is_filter(std::string_view name);
bool is_test(std::string_view name);

}  // namespace warpwright::jinja
