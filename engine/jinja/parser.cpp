// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "engine/jinja/syntax.h"

namespace warpwright::jinja {
namespace {

using Kind = Node::Kind;

constexpr int kMaxDepth = 120;  // of brackets, blocks and operators inside each other
constexpr int kMaxChain = 100;  // operators, filters and attributes side by side: each nests the tree

class Parser {
public:
    explicit Parser(const std::vector<Token>& tokens) : tokens_(tokens) {}

    NodePtr run() {
        NodePtr body = parse_body({});
        if (now().kind != Token::Kind::end) fail("unexpected end of a block");
        return body;
    }

private:
    // Recursion is counted where it happens: blocks, expressions, unary operators.
    struct Deeper {
        explicit Deeper(Parser& parser) : parser_(parser) {
            if (++parser_.depth_ > kMaxDepth) {
                --parser_.depth_;
                parser_.fail(fmt::format("nested more than {} deep", kMaxDepth));
            }
        }
        ~Deeper() { --parser_.depth_; }
        Deeper(const Deeper&) = delete;
        Deeper& operator=(const Deeper&) = delete;
        Parser& parser_;
    };

    const Token& now() const { return tokens_[at_]; }
    const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
    [[noreturn]] void fail(const std::string& message) const {
        throw Error(fmt::format("line {}: {}", now().line, message));
    }
    static std::string describe(const Token& token) {
        switch (token.kind) {
            case Token::Kind::data: return "text";
            case Token::Kind::print_begin: return "'{{'";
            case Token::Kind::print_end: return "'}}'";
            case Token::Kind::block_begin: return "'{%'";
            case Token::Kind::block_end: return "'%}'";
            case Token::Kind::end: return "the end of the template";
            default: return fmt::format("'{:.40}'", token.text);
        }
    }
    bool is_mark(std::string_view mark) const {
        return now().kind == Token::Kind::mark && now().text == mark;
    }
    bool is_name(std::string_view name) const {
        return now().kind == Token::Kind::name && now().text == name;
    }
    bool take_mark(std::string_view mark) {
        if (!is_mark(mark)) return false;
        ++at_;
        return true;
    }
    bool take_name(std::string_view name) {
        if (!is_name(name)) return false;
        ++at_;
        return true;
    }
    void expect_mark(std::string_view mark) {
        if (!take_mark(mark)) fail(fmt::format("expected '{}', got {}", mark, describe(now())));
    }
    std::string expect_name() {
        if (now().kind != Token::Kind::name) fail(fmt::format("expected a name, got {}", describe(now())));
        return tokens_[at_++].text;
    }
    void expect(Token::Kind kind, std::string_view what) {
        if (now().kind != kind) fail(fmt::format("expected {}, got {}", what, describe(now())));
        ++at_;
    }
    NodePtr make(Kind kind, std::string text = {}) const {
        auto node = std::make_unique<Node>();
        node->kind = kind;
        node->line = now().line;
        node->text = std::move(text);
        return node;
    }
    NodePtr make(Kind kind, std::string text, NodePtr a, NodePtr b = nullptr) const {
        NodePtr node = make(kind, std::move(text));
        node->line = a->line;
        node->children.push_back(std::move(a));
        if (b != nullptr) node->children.push_back(std::move(b));
        return node;
    }
    void count_link(int& links) const {
        if (++links > kMaxChain) fail(fmt::format("more than {} operators in a row", kMaxChain));
    }

    // --- statements

    // Up to a block that begins with one of `ends`, whose name is not taken.
    NodePtr parse_body(const std::vector<std::string_view>& ends) {
        const Deeper deeper(*this);
        NodePtr body = make(Kind::body);
        for (;;) {
            switch (now().kind) {
                case Token::Kind::data:
                    body->children.push_back(make(Kind::data, now().text));
                    ++at_;
                    break;
                case Token::Kind::print_begin: {
                    ++at_;
                    NodePtr value = parse_tuple(true);
                    body->children.push_back(make(Kind::print, "", std::move(value)));
                    expect(Token::Kind::print_end, "'}}'");
                    break;
                }
                case Token::Kind::block_begin: {
                    ++at_;
                    if (now().kind != Token::Kind::name)
                        fail(fmt::format("expected a tag, got {}", describe(now())));
                    if (std::find(ends.begin(), ends.end(), now().text) != ends.end()) return body;
                    NodePtr statement = parse_statement();
                    if (statement != nullptr) body->children.push_back(std::move(statement));
                    break;
                }
                case Token::Kind::end:
                    if (!ends.empty())
                        fail(fmt::format("expected '{}' before the end of the template", ends.back()));
                    return body;
                default: fail(fmt::format("unexpected {}", describe(now())));
            }
        }
    }

    void end_block() { expect(Token::Kind::block_end, "'%}'"); }

    // A body and its end tag, whose name is taken.
    NodePtr body_until(std::string_view end) {
        end_block();
        NodePtr body = parse_body({end});
        ++at_;
        return body;
    }

    NodePtr parse_statement() {
        const std::string tag = expect_name();
        NodePtr node;
        if (tag == "if") {
            node = parse_if();
        } else if (tag == "for") {
            node = parse_for();
        } else if (tag == "set") {
            return parse_set();
        } else if (tag == "macro") {
            node = make(Kind::macro, expect_name());
            parse_parameters(*node);
            node->children.push_back(body_until("endmacro"));
        } else if (tag == "call") {
            NodePtr macro = make(Kind::macro);
            if (is_mark("(")) parse_parameters(*macro);
            NodePtr call = parse_expression();
            if (call->kind != Kind::call) fail("expected a call");
            macro->children.push_back(body_until("endcall"));
            node = make(Kind::call_body, "", std::move(call), std::move(macro));
        } else if (tag == "filter") {
            NodePtr chain = parse_filters(make(Kind::constant), true);
            NodePtr body = body_until("endfilter");
            node = make(Kind::filter_body, "", std::move(chain), std::move(body));
        } else if (tag == "generation") {
            node = body_until("endgeneration");
        } else if (tag == "with") {
            node = make(Kind::with);
            while (now().kind != Token::Kind::block_end) {
                if (!node->children.empty()) expect_mark(",");
                node->children.push_back(parse_target(false));
                expect_mark("=");
                node->children.push_back(parse_expression());
            }
            node->children.push_back(body_until("endwith"));
        } else if (tag == "break" || tag == "continue") {
            if (loops_ == 0) fail(fmt::format("'{}' outside of a loop", tag));
            node = make(tag == "break" ? Kind::leave : Kind::next);
        } else {
            fail(fmt::format("unknown or unsupported tag '{:.40}'", tag));
        }
        end_block();
        return node;
    }

    NodePtr parse_if() {
        NodePtr node = make(Kind::branch);
        node->children.push_back(parse_tuple(true));
        for (;;) {
            end_block();
            node->children.push_back(parse_body({"elif", "else", "endif"}));
            if (take_name("elif")) {
                node->children.push_back(parse_tuple(true));
                continue;
            }
            if (take_name("else"))
                node->children.push_back(body_until("endif"));
            else
                ++at_;
            return node;
        }
    }

    NodePtr parse_for() {
        NodePtr node = make(Kind::loop);
        node->children.push_back(parse_target(true));
        if (!take_name("in")) fail(fmt::format("expected 'in', got {}", describe(now())));
        node->children.push_back(parse_tuple(false));
        node->children.push_back(take_name("if") ? parse_expression() : nullptr);
        if (is_name("recursive")) fail("recursive loops are not supported");
        end_block();
        ++loops_;
        node->children.push_back(parse_body({"else", "endfor"}));
        --loops_;
        if (take_name("else"))
            node->children.push_back(body_until("endfor"));
        else
            ++at_, node->children.push_back(nullptr);
        return node;
    }

    NodePtr parse_set() {
        NodePtr target = parse_target(true);
        if (take_mark("=")) {
            NodePtr value = parse_tuple(true);
            NodePtr node = make(Kind::assign, "", std::move(target), std::move(value));
            end_block();
            return node;
        }
        NodePtr node = make(Kind::assign_body, "", std::move(target));
        NodePtr chain = is_mark("|") ? parse_filters(make(Kind::constant), false) : nullptr;
        node->children.push_back(body_until("endset"));
        node->children.push_back(std::move(chain));
        end_block();
        return node;
    }

    void parse_parameters(Node& macro) {
        expect_mark("(");
        while (!is_mark(")")) {
            if (!macro.names.empty()) expect_mark(",");
            if (is_mark(")")) break;
            macro.names.push_back(expect_name());
            macro.children.push_back(take_mark("=") ? parse_expression() : nullptr);
        }
        ++at_;
    }

    // What is assigned to: names, a namespace's attribute, or several.
    NodePtr parse_target(bool several) {
        std::vector<NodePtr> parts;
        bool tuple = false;
        do {
            if (several && take_mark("(")) {
                parts.push_back(parse_target(true));
                expect_mark(")");
            } else {
                const Deeper deeper(*this);
                NodePtr name = make(Kind::name, expect_name());
                if (take_mark(".")) name = make(Kind::attribute, expect_name(), std::move(name));
                parts.push_back(std::move(name));
            }
            if (!several || !is_mark(",")) break;
            tuple = true;
            ++at_;
        } while (!is_name("in") && !is_mark("="));
        if (!tuple) return std::move(parts[0]);
        NodePtr node = make(Kind::tuple);
        node->children = std::move(parts);
        return node;
    }

    // --- expressions, by increasing precedence

    bool ends_tuple() const {
        return now().kind == Token::Kind::print_end || now().kind == Token::Kind::block_end || is_mark(")");
    }

    NodePtr parse_tuple(bool with_condition) {
        const auto part = [&] { return with_condition ? parse_expression() : parse_or(); };
        NodePtr first = part();
        if (!is_mark(",")) return first;
        NodePtr node = make(Kind::tuple);
        node->children.push_back(std::move(first));
        while (take_mark(",")) {
            if (ends_tuple()) break;
            node->children.push_back(part());
        }
        return node;
    }

    NodePtr parse_expression() {
        const Deeper deeper(*this);
        NodePtr value = parse_or();
        int links = 0;
        while (take_name("if")) {
            count_link(links);
            NodePtr condition = parse_or();
            NodePtr other = take_name("else") ? parse_expression() : nullptr;
            value = make(Kind::conditional, "", std::move(value), std::move(condition));
            value->children.push_back(std::move(other));
        }
        return value;
    }

    NodePtr parse_or() {
        NodePtr left = parse_and();
        int links = 0;
        while (take_name("or")) {
            count_link(links);
            left = make(Kind::binary, "or", std::move(left), parse_and());
        }
        return left;
    }

    NodePtr parse_and() {
        NodePtr left = parse_not();
        int links = 0;
        while (take_name("and")) {
            count_link(links);
            left = make(Kind::binary, "and", std::move(left), parse_not());
        }
        return left;
    }

    NodePtr parse_not() {
        const Deeper deeper(*this);
        if (take_name("not")) return make(Kind::unary, "not", parse_not());
        return parse_comparison();
    }

    NodePtr parse_comparison() {
        NodePtr node = parse_sum();
        NodePtr chain;
        for (;;) {
            std::string operation;
            for (const char* mark : {"==", "!=", "<", "<=", ">", ">="}) {
                if (is_mark(mark)) operation = mark;
            }
            if (is_name("in")) operation = "in";
            if (is_name("not") && ahead().kind == Token::Kind::name && ahead().text == "in") {
                operation = "not in";
                ++at_;
            }
            if (operation.empty()) return chain != nullptr ? std::move(chain) : std::move(node);
            ++at_;
            if (chain == nullptr) {
                chain = make(Kind::comparison, "", std::move(node));
                chain->names.emplace_back();
            }
            chain->names.push_back(operation);
            chain->children.push_back(parse_sum());
        }
    }

    template <class Operand>
    NodePtr parse_chain(std::initializer_list<std::string_view> marks, Operand operand) {
        NodePtr left = operand();
        int links = 0;
        for (;;) {
            std::string found;
            for (const std::string_view mark : marks) {
                if (found.empty() && take_mark(mark)) found = mark;
            }
            if (found.empty()) return left;
            count_link(links);
            left = make(Kind::binary, found, std::move(left), operand());
        }
    }

    NodePtr parse_sum() {
        return parse_chain({"+", "-"}, [&] { return parse_join(); });
    }
    NodePtr parse_join() {
        return parse_chain({"~"}, [&] { return parse_product(); });
    }
    NodePtr parse_product() {
        return parse_chain({"*", "/", "//", "%"}, [&] { return parse_power(); });
    }
    NodePtr parse_power() {
        return parse_chain({"**"}, [&] { return parse_unary(true); });
    }

    NodePtr parse_unary(bool with_filters) {
        const Deeper deeper(*this);
        NodePtr node;
        if (is_mark("-") || is_mark("+")) {
            const std::string sign = tokens_[at_++].text;
            node = make(Kind::unary, sign, parse_unary(false));
        } else {
            node = parse_primary();
        }
        node = parse_postfix(std::move(node));
        return with_filters ? parse_filters(std::move(node), false) : std::move(node);
    }

    NodePtr parse_primary() {
        const Token& token = now();
        NodePtr node = make(Kind::constant);
        switch (token.kind) {
            case Token::Kind::name:
                ++at_;
                if (token.text == "true" || token.text == "True")
                    node->value = true;
                else if (token.text == "false" || token.text == "False")
                    node->value = false;
                else if (token.text == "none" || token.text == "None")
                    node->value = None{};
                else
                    node = make(Kind::name, token.text);
                return node;
            case Token::Kind::string: {
                std::string text;
                while (now().kind == Token::Kind::string) text += tokens_[at_++].text;
                node->value = text;
                return node;
            }
            case Token::Kind::integer: {
                i64 value = 0;
                const char* end = token.text.data() + token.text.size();
                if (std::from_chars(token.text.data(), end, value).ec != std::errc()) {
                    fail(fmt::format("an integer of {} digits is too large", token.text.size()));
                }
                node->value = value;
                ++at_;
                return node;
            }
            case Token::Kind::number:
                node->value = std::strtod(token.text.c_str(), nullptr);
                ++at_;
                return node;
            default: break;
        }
        if (take_mark("(")) {
            if (take_mark(")")) return make(Kind::tuple);
            node = parse_tuple(true);
            expect_mark(")");
            return node;
        }
        if (take_mark("[")) {
            node = make(Kind::list);
            while (!is_mark("]")) {
                if (!node->children.empty()) expect_mark(",");
                if (!is_mark("]")) node->children.push_back(parse_expression());
            }
            ++at_;
            return node;
        }
        if (take_mark("{")) {
            node = make(Kind::dict);
            while (!is_mark("}")) {
                if (!node->children.empty()) expect_mark(",");
                if (is_mark("}")) break;
                node->children.push_back(parse_expression());
                expect_mark(":");
                node->children.push_back(parse_expression());
            }
            ++at_;
            return node;
        }
        fail(fmt::format("expected a value, got {}", describe(token)));
    }

    NodePtr parse_postfix(NodePtr node) {
        int links = 0;
        for (;;) {
            if (take_mark(".")) {
                if (now().kind == Token::Kind::integer) {
                    NodePtr index = parse_primary();
                    node = make(Kind::item, "", std::move(node), std::move(index));
                } else {
                    node = make(Kind::attribute, expect_name(), std::move(node));
                }
            } else if (take_mark("[")) {
                node = parse_subscript(std::move(node));
            } else if (is_mark("(")) {
                node = make(Kind::call, "", std::move(node));
                parse_arguments(*node);
            } else {
                return node;
            }
            count_link(links);
        }
    }

    NodePtr parse_subscript(NodePtr node) {
        std::vector<NodePtr> parts(3);
        bool slice = false;
        for (std::size_t i = 0; i < 3; ++i) {
            if (!is_mark(":") && !is_mark("]")) parts[i] = parse_expression();
            if (i == 2 || !take_mark(":")) break;
            slice = true;
        }
        expect_mark("]");
        if (!slice && parts[0] == nullptr) fail("expected an index");
        NodePtr out = make(slice ? Kind::slice : Kind::item, "", std::move(node));
        for (std::size_t i = 0; i < (slice ? 3u : 1u); ++i) out->children.push_back(std::move(parts[i]));
        return out;
    }

    void parse_arguments(Node& call) {
        expect_mark("(");
        call.names.resize(call.children.size());
        bool first = true;
        while (!is_mark(")")) {
            if (!first) expect_mark(",");
            first = false;
            if (is_mark(")")) break;
            if (is_mark("*") || is_mark("**")) fail("'*' and '**' of arguments are not supported");
            std::string name;
            if (now().kind == Token::Kind::name && ahead().kind == Token::Kind::mark && ahead().text == "=") {
                name = now().text;
                at_ += 2;
            } else if (!call.names.empty() && !call.names.back().empty()) {
                fail("expected a named argument behind another");
            }
            call.names.push_back(std::move(name));
            call.children.push_back(parse_expression());
        }
        ++at_;
    }

    // "| name(...)", "is name ..." and calls of what they give. `started`: the first filter has no bar.
    NodePtr parse_filters(NodePtr node, bool started) {
        int links = 0;
        for (;; started = false) {
            if (started || take_mark("|")) {
                std::string name = dotted_name();
                if (!is_filter(name)) fail(fmt::format("unknown or unsupported filter '{:.40}'", name));
                node = make(Kind::filter, std::move(name), std::move(node));
                node->names.resize(1);
                if (is_mark("(")) parse_arguments(*node);
            } else if (take_name("is")) {
                node = parse_test(std::move(node));
            } else if (is_mark("(")) {
                node = make(Kind::call, "", std::move(node));
                parse_arguments(*node);
            } else {
                return node;
            }
            count_link(links);
        }
    }

    std::string dotted_name() {
        std::string name = expect_name();
        while (take_mark(".")) name += "." + expect_name();
        return name;
    }

    NodePtr parse_test(NodePtr node) {
        const bool negated = take_name("not");
        std::string name = dotted_name();
        if (!is_test(name)) fail(fmt::format("unknown or unsupported test '{:.40}'", name));
        node = make(Kind::test, std::move(name), std::move(node));
        node->names.resize(1);
        if (is_mark("(")) {
            parse_arguments(*node);
        } else if (starts_argument()) {
            const Deeper deeper(*this);
            node->names.emplace_back();
            node->children.push_back(parse_postfix(parse_primary()));
        }
        return negated ? make(Kind::unary, "not", std::move(node)) : std::move(node);
    }

    bool starts_argument() const {
        switch (now().kind) {
            case Token::Kind::string:
            case Token::Kind::integer:
            case Token::Kind::number: return true;
            case Token::Kind::name:
                for (const char* word : {"else", "or", "and"}) {
                    if (now().text == word) return false;
                }
                if (now().text == "is") fail("expected an operator between two tests");
                return true;  // Jinja takes "if" and "in" for names here, too
            default: return is_mark("[") || is_mark("{");
        }
    }

    const std::vector<Token>& tokens_;
    std::size_t at_ = 0;
    int depth_ = 0;
    int loops_ = 0;
};

}  // namespace

NodePtr parse(const std::vector<Token>& tokens) {
    return Parser(tokens).run();
}

}  // namespace warpwright::jinja
