// SPDX-License-Identifier: Apache-2.0
// Names of the Itanium C++ ABI, as kernels have them. The standard library's demangler refuses names of more
// than 1,024 characters, which kernels of template libraries have, and makes gigabytes of a short name that
// refers back to itself often enough. This one makes each part once and stops when all parts together are too
// long.
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "inspect/report.h"

namespace warpwright::inspect {

namespace {

constexpr size_t kMaxNameBytes = 16 << 10;
constexpr size_t kMaxTextBytes = 64 << 10;  // of the result
constexpr size_t kMaxWorkBytes = 4 << 20;   // of all parts that are made
constexpr int kMaxDepth = 256;

// A declarator around a name: "void (*" and ")(int)".
struct Part {
    std::string left, right;
    bool is_pack = false;      // "J...E": empty, or several joined
    int encoding = 0;          // of whose template parameters it is made, if of any
    bool is_function = false;  // before "*": parentheses
    std::string whole() const { return left + right; }
};

struct Failure {};

class Demangler {
public:
    explicit Demangler(std::string_view name) : rest_(name) {}

    std::string all() {
        expect("_Z");
        std::string text = encoding();
        if (!rest_.empty() && rest_[0] == '.') {  // a clone of a compiler
            text += fmt::format(" [clone {}]", rest_);
            rest_ = {};
        }
        if (!rest_.empty() || text.size() > kMaxTextBytes) throw Failure{};
        return text;
    }

private:
    class Depth {
    public:
        explicit Depth(int& depth) : depth_(depth) {
            if (++depth_ > kMaxDepth) throw Failure{};
        }
        ~Depth() { --depth_; }
        Depth(const Depth&) = delete;
        Depth& operator=(const Depth&) = delete;

    private:
        int& depth_;
    };

    // ---- characters

    char peek(size_t ahead = 0) const { return ahead < rest_.size() ? rest_[ahead] : '\0'; }
    bool take(std::string_view text) {
        if (!rest_.starts_with(text)) return false;
        rest_.remove_prefix(text.size());
        return true;
    }
    void expect(std::string_view text) {
        if (!take(text)) throw Failure{};
    }
    static bool is_digit(char c) { return c >= '0' && c <= '9'; }
    size_t number() {
        if (!is_digit(peek())) throw Failure{};
        size_t value = 0;
        while (is_digit(peek())) {
            value = value * 10 + static_cast<size_t>(peek() - '0');
            if (value > kMaxNameBytes * 64) throw Failure{};
            rest_.remove_prefix(1);
        }
        return value;
    }
    // "_" is the first, "0_" the second: in base 36 for substitutions, else in base 10.
    size_t sequence(size_t base) {
        if (take("_")) return 0;
        size_t value = 0;
        while (!take("_")) {
            const char c = peek();
            const bool is_letter = base == 36 && c >= 'A' && c <= 'Z';
            if (!is_digit(c) && !is_letter) throw Failure{};
            value = value * base + static_cast<size_t>(is_letter ? c - 'A' + 10 : c - '0');
            if (value > kMaxNameBytes) throw Failure{};
            rest_.remove_prefix(1);
        }
        return value + 1;
    }

    // All that is made counts.
    std::string made(std::string text) {
        work_bytes_ += text.size() + 16;
        if (text.size() > kMaxTextBytes || work_bytes_ > kMaxWorkBytes) throw Failure{};
        return text;
    }
    Part made(Part part) {
        work_bytes_ += part.left.size() + part.right.size() + 16;
        if (part.left.size() + part.right.size() > kMaxTextBytes || work_bytes_ > kMaxWorkBytes)
            throw Failure{};
        return part;
    }
    Part remember(Part part) {
        part.encoding = uses_parameters_ ? encoding_ : 0;
        substitutions_.push_back(made(part));
        return part;
    }

    // ---- names

    struct Name {
        std::string text;
        std::string qualifiers;      // of a member function: " const"
        bool is_template = false;    // ends in template arguments: a function's type begins with its result
        bool has_no_result = false;  // constructors, conversions
    };

    // As c++filt has it: "&a::f" is without parameters, "&(f(int))" and "&(void a::f<int>(int))" are with
    // them.
    std::string encoding(bool is_address = false) {
        const Depth depth(depth_);
        std::vector<Part> outer = std::exchange(arguments_, {});
        const bool was_name = is_name_;
        is_name_ = true;
        const int outer_encoding = std::exchange(encoding_, ++num_encodings_);
        const bool used_parameters = std::exchange(uses_parameters_, false);
        const bool is_nested = peek() == 'N';
        Name name = this->name();
        is_name_ = false;
        std::string text = name.text;
        if (!rest_.empty() && peek() != 'E' && peek() != '.') {
            Part result;
            const bool has_result = name.is_template && !name.has_no_result;
            if (has_result) result = type();
            const std::string of = parameters();
            const bool is_whole = !is_address || name.is_template || !is_nested;
            if (is_whole) text = made(text + of + name.qualifiers);
            if (has_result)
                text = made(result.left + (result.right.empty() ? " " : "") + text + result.right);
        }
        arguments_ = std::move(outer);
        encoding_ = outer_encoding;
        uses_parameters_ = used_parameters;
        is_name_ = was_name;
        return text;
    }

    // Until the end or an 'E'.
    std::string parameters() {
        if (take("v")) return "()";
        std::string text = "(";
        while (!rest_.empty() && peek() != 'E' && peek() != '.') {
            const Part one = type();
            if (one.is_pack && one.left.empty()) continue;
            if (text.size() > 1) text += ", ";
            text = made(text + one.whole());
        }
        return text + ")";
    }

    Name name() {
        const Depth depth(depth_);
        if (peek() == 'N') return nested_name();
        if (peek() == 'Z') return local_name();
        Name found;
        if (peek() == 'S' && peek(1) != 't') {
            found.text = substitution().whole();
            if (peek() != 'I') throw Failure{};
        } else {
            const bool is_std = take("St");
            found = unqualified("");
            if (is_std) found.text = made("std::" + found.text);
            if (peek() != 'I') return found;
            remember({found.text, ""});
        }
        found.text = made(found.text + template_arguments());
        found.is_template = true;
        return found;
    }

    Name nested_name() {
        expect("N");
        Name found;
        for (bool more = true; more;) {
            more = false;
            if (take("r")) more = true;
            if (take("V")) found.qualifiers += " volatile", more = true;
            if (take("K")) found.qualifiers = " const" + found.qualifiers, more = true;
        }
        if (take("R")) found.qualifiers += " &";
        if (take("O")) found.qualifiers += " &&";
        std::string prefix, last;
        while (!take("E")) {
            if (peek() == 'S' && peek(1) != 't') {
                if (!prefix.empty()) throw Failure{};
                prefix = last = substitution().whole();
                last = last_component(last);
                found.is_template = false;
                continue;  // is one already
            }
            if (peek() == 'T') {
                if (!prefix.empty()) throw Failure{};
                prefix = last = template_parameter().whole();
            } else if (peek() == 'I') {
                if (prefix.empty()) throw Failure{};
                prefix = made(prefix + template_arguments());
                found.is_template = true;
            } else if (take("St")) {
                prefix = last = "std";
                continue;
            } else if (peek() == 'D' && (peek(1) == 't' || peek(1) == 'T')) {
                throw Failure{};
            } else {
                const Name one = unqualified(last);
                last = one.text;
                found.has_no_result = one.has_no_result;
                found.is_template = false;
                prefix = made(prefix.empty() ? one.text : prefix + "::" + one.text);
            }
            if (peek() != 'E') remember({prefix, ""});
        }
        found.text = prefix;
        return found;
    }

    // For constructors of a substituted class: "a::b<c::d>" -> "b".
    static std::string last_component(const std::string& text) {
        int open = 0;
        size_t begin = 0, end = text.size();
        for (size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '<' && open++ == 0) end = i;
            if (text[i] == '>') --open;
            if (open == 0 && text[i] == ':') begin = i + 1, end = text.size();
        }
        return text.substr(begin, end > begin ? end - begin : std::string::npos);
    }

    Name local_name() {
        expect("Z");
        const std::string function = encoding();
        expect("E");
        Name found;
        if (take("s")) {
            found.text = made(function + "::string literal");
        } else {
            if (take("d")) {
                if (is_digit(peek())) number();
                expect("_");
            }
            found = name();
            found.text = made(function + "::" + found.text);
        }
        if (take("__")) {
            number();
            expect("_");
        } else if (peek() == '_' && is_digit(peek(1))) {
            rest_.remove_prefix(2);
        }
        return found;
    }

    Name unqualified(const std::string& enclosing) {
        Name found;
        take("L");  // internal linkage
        if (is_digit(peek())) {
            found.text = source_name();
        } else if (take("Ut")) {
            found.text = fmt::format("{{unnamed type#{}}}", sequence(10) + 1);
            if (!is_name_) remember({found.text, ""});
        } else if (take("Ul")) {
            const bool was_name = is_name_;
            is_name_ = false;
            const std::string of = parameters();
            is_name_ = was_name;
            expect("E");
            found.text = made(fmt::format("{{lambda{}#{}}}", of, sequence(10) + 1));
        } else if (peek() == 'C' && is_digit(peek(1))) {
            rest_.remove_prefix(2);
            found.text = enclosing;
            found.has_no_result = true;
        } else if (peek() == 'D' && is_digit(peek(1))) {
            rest_.remove_prefix(2);
            found.text = "~" + enclosing;
            found.has_no_result = true;
        } else {
            found = operator_name();
        }
        while (take("B")) found.text = made(found.text + "[abi:" + source_name() + "]");
        return found;
    }

    std::string source_name() {
        const size_t size = number();
        if (size == 0 || size > rest_.size()) throw Failure{};
        std::string text(rest_.substr(0, size));
        rest_.remove_prefix(size);
        if (text.starts_with("_GLOBAL__N")) return "(anonymous namespace)";
        return made(text);
    }

    struct Operator {
        std::string_view code, text;
    };
    static const Operator* find_operator(std::string_view code) {
        static constexpr Operator kOperators[] = {
            {"aN", "&="}, {"aS", "="},  {"aa", "&&"}, {"ad", "&"},   {"an", "&"},   {"cl", "()"},
            {"cm", ","},  {"co", "~"},  {"dV", "/="}, {"de", "*"},   {"dv", "/"},   {"eO", "^="},
            {"eo", "^"},  {"eq", "=="}, {"ge", ">="}, {"gt", ">"},   {"ix", "[]"},  {"lS", "<<="},
            {"le", "<="}, {"ls", "<<"}, {"lt", "<"},  {"mI", "-="},  {"mL", "*="},  {"mi", "-"},
            {"ml", "*"},  {"mm", "--"}, {"ne", "!="}, {"ng", "-"},   {"nt", "!"},   {"oR", "|="},
            {"oo", "||"}, {"or", "|"},  {"pL", "+="}, {"pl", "+"},   {"pm", "->*"}, {"pp", "++"},
            {"ps", "+"},  {"pt", "->"}, {"rM", "%="}, {"rS", ">>="}, {"rm", "%"},   {"rs", ">>"}};
        for (const Operator& one : kOperators) {
            if (one.code == code) return &one;
        }
        return nullptr;
    }

    Name operator_name() {
        Name found;
        if (take("cv")) {
            found.text = made("operator " + type().whole());
            found.has_no_result = true;
            return found;
        }
        const Operator* one = find_operator(rest_.substr(0, 2));
        if (one == nullptr) throw Failure{};
        rest_.remove_prefix(2);
        found.text = fmt::format("operator{}", one->text);
        return found;
    }

    // ---- substitutions and templates

    Part substitution() {
        expect("S");
        static constexpr std::array<std::pair<char, std::string_view>, 6> kKnown = {
            {{'a', "std::allocator"},
             {'b', "std::basic_string"},
             {'s', "std::string"},
             {'i', "std::istream"},
             {'o', "std::ostream"},
             {'d', "std::iostream"}}};
        for (const auto& [letter, text] : kKnown) {
            if (peek() != letter) continue;
            rest_.remove_prefix(1);
            return {std::string(text), ""};
        }
        const size_t index = sequence(36);
        if (index >= substitutions_.size()) throw Failure{};
        // A parameter means another argument in another function.
        const Part& part = substitutions_[index];
        if (part.encoding != 0 && part.encoding != encoding_) throw Failure{};
        return made(part);
    }

    Part template_parameter() {
        expect("T");
        const size_t index = sequence(10);
        if (index >= arguments_.size()) throw Failure{};
        uses_parameters_ = true;
        return made(arguments_[index]);
    }

    std::string template_arguments() {
        const Depth depth(depth_);
        expect("I");
        const bool was_name = is_name_;
        is_name_ = false;
        std::vector<Part> arguments;
        std::string text = "<";
        while (!take("E")) {
            const Part one = template_argument();
            arguments.push_back(one);
            if (one.is_pack && one.left.empty()) continue;
            if (text.size() > 1) text += ", ";
            text = made(text + one.whole());
        }
        is_name_ = was_name;
        if (is_name_) arguments_ = std::move(arguments);
        return made(text + (text.ends_with('>') ? " >" : ">"));
    }

    Part template_argument() {
        const Depth depth(depth_);
        if (peek() == 'L') return {literal(), ""};
        if (take("X")) {
            const std::string text = expression();
            expect("E");
            return {text, ""};
        }
        if (!take("J")) return type();
        Part pack;
        pack.is_pack = true;
        while (!take("E")) {
            const Part one = template_argument();
            if (one.is_pack && one.left.empty()) continue;
            if (!pack.left.empty()) pack.left += ", ";
            pack.left = made(pack.left + one.whole());
        }
        return pack;
    }

    std::string literal() {
        expect("L");
        if (take("_Z")) {
            std::string text = encoding();
            expect("E");
            return text;
        }
        const char kind = peek();
        const Part of = type();
        const bool is_negative = take("n");
        const size_t end = rest_.find('E');
        if (end == rest_.npos || end > 64) throw Failure{};
        const std::string value = (is_negative ? "-" : "") + std::string(rest_.substr(0, end));
        rest_.remove_prefix(end + 1);
        switch (kind) {
            case 'b':
                if (value == "0") return "false";
                if (value == "1") return "true";
                break;
            case 'i': return value;
            case 'j': return value + "u";
            case 'l': return value + "l";
            case 'm': return value + "ul";
            case 'x': return value + "ll";
            case 'y': return value + "ull";
            case 'f':
            case 'd': return made(fmt::format("({})[{}]", of.whole(), value));
            default: break;
        }
        return made(fmt::format("({}){}", of.whole(), value));
    }

    std::string expression() {
        const Depth depth(depth_);
        if (peek() == 'L') return literal();
        if (peek() == 'T') return template_parameter().whole();
        if (take("st")) return made("sizeof (" + type().whole() + ")");
        const std::string_view code = rest_.substr(0, 2);
        const Operator* one = find_operator(code);
        if (one == nullptr || one->text == "()" || one->text == "[]") throw Failure{};
        rest_.remove_prefix(2);
        if (code == "ad" && take("L_Z")) {
            const std::string function = encoding(true);
            expect("E");
            return made(function.ends_with(')') ? "&(" + function + ")" : "&" + function);
        }
        const std::string first = expression();
        const bool is_unary =
            code == "ad" || code == "co" || code == "de" || code == "ng" || code == "nt" || code == "ps";
        if (is_unary) return made(fmt::format("{}({})", one->text, first));
        const std::string second = expression();
        return made(fmt::format("({}){}({})", first, one->text, second));
    }

    // ---- types

    static std::string_view builtin(char c) {
        static constexpr std::string_view kNames = "vwbcahstijlmxynofdegz";
        static constexpr std::array<std::string_view, 21> kTypes = {"void",        "wchar_t",
                                                                    "bool",        "char",
                                                                    "signed char", "unsigned char",
                                                                    "short",       "unsigned short",
                                                                    "int",         "unsigned int",
                                                                    "long",        "unsigned long",
                                                                    "long long",   "unsigned long long",
                                                                    "__int128",    "unsigned __int128",
                                                                    "float",       "double",
                                                                    "long double", "__float128",
                                                                    "..."};
        const size_t at = kNames.find(c);
        return at == kNames.npos ? std::string_view{} : kTypes[at];
    }

    Part type() {
        const Depth depth(depth_);
        const char c = peek();
        if (const std::string_view text = builtin(c); !text.empty()) {
            rest_.remove_prefix(1);
            return {std::string(text), ""};
        }
        switch (c) {
            case 'P': return pointer("*");
            case 'R': return pointer("&");
            case 'O': return pointer("&&");
            case 'K':
            case 'V': return remember(qualified());
            case 'F': return remember(function_type());
            case 'A': return remember(array());
            case 'T': {
                Part part = remember(template_parameter());
                return peek() == 'I' ? with_arguments(part) : part;
            }
            case 'S':
                if (peek(1) != 't') {
                    Part part = substitution();
                    return peek() == 'I' ? with_arguments(part) : part;
                }
                return remember({name().text, ""});
            case 'D': return d_type();
            case 'u': {
                rest_.remove_prefix(1);
                return remember({source_name(), ""});
            }
            default: break;
        }
        if (c == 'N' || c == 'Z' || is_digit(c)) {
            const bool was_name = is_name_;
            is_name_ = false;
            Part part{name().text, ""};
            is_name_ = was_name;
            return remember(part);
        }
        throw Failure{};
    }

    Part with_arguments(const Part& part) {
        return remember({made(part.whole() + template_arguments()), ""});
    }

    Part pointer(std::string_view mark) {
        rest_.remove_prefix(1);
        Part to = type();
        if (to.is_pack) throw Failure{};  // of each one of several
        if (to.is_function) {
            to.left = made(fmt::format("{} ({}", to.left, mark));
            to.right = made(")" + to.right);
            to.is_function = false;
        } else {
            // A reference to a reference is the first one, unless both are "&&".
            const bool is_reference = mark[0] == '&';
            const bool of_reference = to.right.empty() && to.left.ends_with('&');
            if (is_reference && of_reference) {
                if (mark == "&" && to.left.ends_with("&&")) to.left.pop_back();
            } else {
                to.left = made(to.left + std::string(mark));
            }
        }
        return remember(to);
    }

    Part qualified() {
        std::string words;
        for (bool more = true; more;) {
            more = false;
            if (take("V")) words += " volatile", more = true;
            if (take("K")) words += " const", more = true;
        }
        Part of = type();
        if (of.is_pack) throw Failure{};
        if (of.is_function)
            of.right = made(of.right + words);
        else
            of.left = made(of.left + words);
        return of;
    }

    Part function_type() {
        expect("F");
        take("Y");
        const Part result = type();
        Part part{.left = result.left, .right = parameters() + result.right, .is_function = true};
        expect("E");
        return made(part);
    }

    Part array() {
        expect("A");
        std::string size;
        if (is_digit(peek()))
            size = std::to_string(number());
        else if (peek() != '_')
            size = expression();
        expect("_");
        Part of = type();
        if (of.is_function) throw Failure{};
        return made(Part{.left = of.left,
                         .right = (of.right.empty() ? " [" : "[") + size + "]" + of.right,
                         .is_function = true});
    }

    Part d_type() {
        static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kKnown = {
            {{"Dn", "decltype(nullptr)"},
             {"Di", "char32_t"},
             {"Ds", "char16_t"},
             {"Du", "char8_t"},
             {"Dh", "half"},
             {"Da", "auto"}}};
        for (const auto& [code, text] : kKnown) {
            if (take(code)) return {std::string(text), ""};
        }
        if (take("Dp")) {
            Part pack = type();
            return remember(pack);
        }
        throw Failure{};
    }

    std::string_view rest_;
    std::vector<Part> substitutions_;
    std::vector<Part> arguments_;  // of the template that is the function
    bool is_name_ = false;         // reads the function's own name
    int encoding_ = 0, num_encodings_ = 0;
    bool uses_parameters_ = false;  // this encoding, so far
    int depth_ = 0;
    size_t work_bytes_ = 0;
};

}  // namespace

std::string demangle(const std::string& name) {
    if (!name.starts_with("_Z") || name.size() > kMaxNameBytes) return name;
    try {
        return Demangler(name).all();
    } catch (const Failure&) {
        return name;
    }
}

}  // namespace warpwright::inspect
