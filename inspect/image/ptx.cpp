// SPDX-License-Identifier: Apache-2.0
// PTX text: directives of the module, entries with their parameters and bounds, the instructions' classes.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "inspect/image/ptx_classes.h"
#include "inspect/image/ptx_scanner.h"
#include "inspect/image/read_image.h"
#include "inspect/image/stub.h"
#include "inspect/isa/uses.h"

namespace warpwright::inspect {

namespace {

constexpr int kMaxBytes = 0x7fffffff;
constexpr size_t kMaxSharedVariables = 64;
constexpr size_t kMaxTextsRead = 4096, kMaxTexts = 16, kMaxTextBytes = 200;

int type_bytes(std::string_view type) {
    if (type.ends_with("128")) return 16;
    if (type.ends_with("64")) return 8;
    if (type.ends_with("32")) return 4;
    if (type.ends_with("16") || type.ends_with("16x2")) return type.ends_with("16x2") ? 4 : 2;
    return 1;
}

bool is_type(std::string_view word) {
    return word.size() >= 3 && word[0] == '.' &&
           std::string_view("bsuf").find(word[1]) != std::string_view::npos && word[2] >= '1' &&
           word[2] <= '9';
}

// One variable: ".align 4 .b8 name[160]", the space (".param", ".shared") read already.
struct Variable {
    std::string_view name;
    u64 bytes = 0, alignment = 1;
    bool is_unsized = false;
};
Variable read_variable(std::string_view text) {
    PtxScanner scanner(text);
    Variable variable;
    bool is_pointer = false;  // ".ptr .align 16": of what it points to
    u64 element = 1;
    for (scanner.skip_space(); !scanner.at_end(); scanner.skip_space()) {
        const std::string_view word = scanner.word();
        if (word.empty()) {
            if (scanner.peek() != '[') {
                scanner.step();
                continue;
            }
            scanner.step();
            scanner.skip_space();
            const bool has_number = scanner.peek() >= '0' && scanner.peek() <= '9';
            const u64 count = std::min<u64>(scanner.number(), kMaxBytes);
            if (has_number)
                variable.bytes = std::min<u64>(variable.bytes * count, kMaxBytes);
            else
                variable.is_unsized = true;
            scanner.until(']');
        } else if (word == ".align") {
            scanner.skip_space();
            const u64 alignment = scanner.number();
            if (!is_pointer) variable.alignment = std::clamp<u64>(alignment, 1, 4096);
        } else if (word == ".ptr") {
            is_pointer = true;
        } else if (word[0] == '.') {
            if (!is_type(word)) continue;
            element = static_cast<u64>(type_bytes(word));
            variable.alignment = std::max(variable.alignment, element);
        } else if (variable.name.empty()) {
            variable.name = word;
            variable.bytes = element;
        }
    }
    return variable;
}

u64 placed_behind(u64 end, const Variable& variable) {
    return (end + variable.alignment - 1) / variable.alignment * variable.alignment + variable.bytes;
}

std::array<int, 3> three_numbers(PtxScanner& scanner) {
    std::array<int, 3> numbers{1, 1, 1};
    for (size_t i = 0; i < 3; ++i) {
        scanner.skip_space();
        numbers[i] = static_cast<int>(std::min<u64>(scanner.number(), kMaxBytes));
        scanner.skip_space();
        if (scanner.peek() != ',') break;
        scanner.step();
    }
    return numbers;
}

// What the body of a function does: enough to tell a stub from a kernel.
struct Body {
    InstructionClasses classes;
    bool uses_tensor_map = false;
    bool has_effect = false;  // beyond arithmetic, calls and traps
    bool traps = false;
    std::vector<std::string_view> calls;
    std::vector<std::string> texts;  // that it uses
};

// Arithmetic, branches, fences; parameters and the thread's own memory: what is left of a body that was
// compiled out, and what hands printf its arguments.
bool is_pure(std::string_view mnemonic) {
    for (const std::string_view space : {"ld.param", "st.param", "ld.local", "st.local"}) {
        if (mnemonic.starts_with(space)) return true;
    }
    constexpr std::string_view kPure[] = {"abs", "add",  "and",  "bfe",   "bfi",  "bra", "cvt",  "cvta",
                                          "div", "exit", "fma",  "fence", "lop3", "mad", "max",  "membar",
                                          "min", "mov",  "mul",  "neg",   "not",  "or",  "prmt", "rem",
                                          "ret", "selp", "setp", "shf",   "shl",  "shr", "sub",  "xor"};
    const std::string_view first = mnemonic.substr(0, mnemonic.find('.'));
    return std::find(std::begin(kPure), std::end(kPure), first) != std::end(kPure);
}

struct Function {
    std::string_view name;
    int kernel = -1;  // index, or a function that kernels call
    Body body;
};

class PtxReader {
public:
    PtxReader(std::string_view text, Depth depth, Image& image, FormUses* uses)
        : scanner_(text), depth_(depth), image_(image), uses_(depth == Depth::headers ? nullptr : uses) {}

    void read() {
        for (scanner_.skip_space(); !scanner_.at_end(); scanner_.skip_space()) read_directive();
        if (image_.isa_version == 0) damage("no .version");
        if (image_.architecture.sm == 0) damage("no .target");
        sort_messages(image_.texts);
        if (image_.texts.size() > kMaxTexts) image_.texts.resize(kMaxTexts);
        join_called_functions();
    }

private:
    void read_directive() {
        const std::string_view word = scanner_.word();
        if (word.empty()) {
            if (scanner_.peek() == '@')
                scanner_.line();  // "@@DWARF"
            else
                scanner_.step();
        } else if (word == ".version") {
            read_version();
        } else if (word == ".target") {
            read_target();
        } else if (word == ".entry" || word == ".func") {
            read_function(word == ".entry");
            is_extern_ = false;
        } else if (word == ".extern") {
            is_extern_ = true;
        } else if (word == ".shared") {
            const Variable variable = read_variable(scanner_.until(';'));
            if (!is_extern_ && shared_.size() < kMaxSharedVariables) shared_.push_back(variable);
            is_extern_ = false;
        } else if (word == ".global" || word == ".const") {
            read_values();
            is_extern_ = false;
        } else if (word == ".section") {
            scanner_.until('{');
            scanner_.until_closed('{', '}');
        } else if (word == ".file" || word == ".loc" || word == ".address_size") {
            scanner_.line();
        } else if (word == ".pragma" || word == ".alias" || word == ".tex") {
            scanner_.until(';');
        }
    }

    void read_version() {
        scanner_.skip_space();
        const u64 major = scanner_.number();
        if (scanner_.peek() == '.') scanner_.step();
        const u64 minor = scanner_.number();
        if (major < 100 && minor < 10 && image_.isa_version == 0)
            image_.isa_version = static_cast<int>(10 * major + minor);
    }

    // ".target sm_90a, texmode_independent": of several, the highest counts.
    void read_target() {
        std::string_view rest = scanner_.line();
        rest = rest.substr(0, rest.find("//"));
        PtxScanner words(rest);
        for (; !words.at_end(); words.step()) {
            words.skip_space();
            const auto found = parse_architecture(words.word());
            if (!found) continue;
            image_.architecture_evidence.push_back(".target: " + architecture_name(*found));
            if (found->sm >= target_.sm) target_ = *found;
        }
        if (target_.sm == 0) return;
        if (image_.architecture.sm != 0 && image_.architecture != target_ && !is_disagreement_said_) {
            image_.architecture_evidence.push_back(
                fmt::format("disagreement: the fatbin's entry says {}, .target {}",
                            architecture_name(image_.architecture), architecture_name(target_)));
            is_disagreement_said_ = true;
        }
        image_.architecture = target_;
    }

    // "$str[107] = {69, 82, ...}": a text, if it is one.
    void read_values() {
        const std::string_view statement = scanner_.until(';');
        const size_t values = statement.find('{');
        if (values == statement.npos || image_.texts.size() >= kMaxTextsRead) return;
        if (statement.substr(0, values).find(".b8") == statement.npos) return;
        PtxScanner numbers(statement.substr(values + 1));
        std::string text;
        while (!numbers.at_end() && text.size() < kMaxTextBytes) {
            numbers.skip_space();
            const bool is_number = numbers.peek() >= '0' && numbers.peek() <= '9';
            const u64 value = numbers.number();
            if (!is_number || value == 0) break;
            if ((value < ' ' && value != '\n' && value != '\t') || value > '~') return;
            text += static_cast<char>(value);
            numbers.skip_space();
            if (numbers.peek() != ',') break;
            numbers.step();
        }
        if (text.size() < 8 || text.find(' ') == text.npos) return;
        image_.texts.push_back(text);
        texts_.emplace(read_variable(statement.substr(0, values)).name, std::move(text));
    }

    // "(.param ...) name (.param ...) .maxntid 384, 1, 1 { ... }", or a ';' instead of the body.
    void read_function(bool is_entry) {
        Function function;
        Kernel kernel;
        kernel.num_parameters = kernel.parameter_bytes = 0;
        for (scanner_.skip_space(); !scanner_.at_end(); scanner_.skip_space()) {
            const char c = scanner_.peek();
            if (c == ';') {
                scanner_.step();
                if (is_extern_ && image_.undefined.size() < 256)
                    image_.undefined.emplace_back(function.name.substr(0, 4096));
                return;
            }
            if (c == '{') break;
            if (c == '(') {
                scanner_.step();
                const std::string_view parameters = scanner_.until_closed('(', ')');
                if (is_entry) read_parameters(parameters, kernel);
                continue;
            }
            const std::string_view word = scanner_.word();
            if (word.empty())
                scanner_.step();
            else if (word[0] != '.' && function.name.empty())
                name_function(word, function);
            else
                read_bound(word, kernel);
        }
        if (scanner_.at_end()) return damage("the text ends inside of a function's head");
        scanner_.step();
        kernel.name = function.name;
        const size_t begin = scanner_.position();
        kernel.shared_bytes = 0;
        read_body(function.body, kernel);
        if (is_entry) {
            add_module_shared(scanner_.text().substr(begin, scanner_.position() - begin), kernel);
            kernel.code_bytes = scanner_.position() - begin;
            function.kernel = static_cast<int>(image_.kernels.size());
            image_.kernels.push_back(std::move(kernel));
        }
        functions_.push_back(std::move(function));
    }

    void name_function(std::string_view name, Function& function) {
        function.name = name;
        if (uses_ != nullptr) uses_->begin_function(name);
    }

    static void read_parameters(std::string_view text, Kernel& kernel) {
        PtxScanner scanner(text);
        u64 end = 0;
        while (!scanner.at_end()) {
            scanner.skip_space();
            const bool is_parameter = scanner.word() == ".param";
            const std::string_view parameter = scanner.until(',');
            if (!is_parameter) continue;
            ++kernel.num_parameters;
            end = placed_behind(end, read_variable(parameter));
        }
        kernel.parameter_bytes = static_cast<int>(std::min<u64>(end, kMaxBytes));
    }

    void read_bound(std::string_view word, Kernel& kernel) {
        if (uses_ != nullptr && word[0] == '.' && word.find("cluster") != word.npos)
            uses_->add_directive(word, scanner_.position() - word.size());
        if (word == ".maxntid") kernel.max_threads = three_numbers(scanner_);
        if (word == ".reqntid") kernel.required_threads = three_numbers(scanner_);
        if (word == ".reqnctapercluster") kernel.cluster = three_numbers(scanner_);
    }

    void read_body(Body& body, Kernel& kernel) {
        u64 shared_end = 0;
        for (int depth = 1; depth > 0;) {
            scanner_.skip_space();
            if (scanner_.at_end()) {
                damage("the text ends inside of a function");
                break;
            }
            const char c = scanner_.peek();
            if (c == '{' || c == '}') {
                depth += c == '{' ? 1 : -1;
                scanner_.step();
                continue;
            }
            if (c == '@') {  // a predicate
                scanner_.step();
                if (scanner_.peek() == '!') scanner_.step();
                scanner_.word();
                scanner_.skip_space();
                read_instruction(scanner_.word(), body);
                continue;
            }
            const std::string_view word = scanner_.word();
            if (word.empty()) {
                scanner_.step();
            } else if (word[0] == '.') {
                if (word == ".loc" || word == ".file") {
                    scanner_.line();
                    continue;
                }
                const std::string_view statement = scanner_.until(';');
                if (word == ".shared") shared_end = placed_behind(shared_end, read_variable(statement));
            } else {
                read_instruction(word, body);
            }
        }
        kernel.shared_bytes = static_cast<int>(std::min<u64>(shared_end, kMaxBytes));
    }

    void read_instruction(std::string_view word, Body& body) {
        // "label:" before it
        const size_t colon = word.find(':');
        if (colon != word.npos && (colon + 1 == word.size() || word[colon + 1] != ':')) {
            word.remove_prefix(colon + 1);
            if (word.empty()) return;
        }
        const std::string_view mnemonic = word;
        const size_t at = scanner_.position() - mnemonic.size();
        const std::string_view operands = scanner_.until(';');
        if (depth_ == Depth::headers) return;
        if (uses_ != nullptr) uses_->add(mnemonic, operands, at);
        body.classes.bits |= classes_of_mnemonic(mnemonic).bits;
        body.uses_tensor_map |= uses_tensor_map(mnemonic);
        if (mnemonic.starts_with("call")) return read_call(operands, body);
        if (mnemonic == "trap" || mnemonic == "brkpt")
            body.traps = true;
        else
            body.has_effect |= !is_pure(mnemonic);
        if (!texts_.empty() && mnemonic.starts_with("mov")) add_text(operands, body);
    }

    // "mov.u64 %rd1, $str$2": the address of a text.
    void add_text(std::string_view operands, Body& body) const {
        const size_t comma = operands.find(',');
        if (comma == operands.npos) return;
        PtxScanner scanner(operands.substr(comma + 1));
        scanner.skip_space();
        const auto text = texts_.find(scanner.word());
        if (text != texts_.end() && body.texts.size() < kMaxTexts) body.texts.push_back(text->second);
    }

    // "(retval0), name, (param0, param1)"
    void read_call(std::string_view operands, Body& body) {
        PtxScanner scanner(operands);
        scanner.skip_space();
        if (scanner.peek() == '(') {
            scanner.step();
            scanner.until_closed('(', ')');
            scanner.until(',');
            scanner.skip_space();
        }
        const std::string_view name = scanner.word();
        if (!name.empty() && std::find(body.calls.begin(), body.calls.end(), name) == body.calls.end() &&
            body.calls.size() < 256)
            body.calls.push_back(name);
    }

    void add_module_shared(std::string_view body, Kernel& kernel) const {
        u64 end = static_cast<u64>(kernel.shared_bytes);
        for (const Variable& variable : shared_) {
            if (!variable.is_unsized && !variable.name.empty() && body.find(variable.name) != body.npos)
                end = placed_behind(end, variable);
        }
        kernel.shared_bytes = static_cast<int>(std::min<u64>(end, kMaxBytes));
    }

    // A kernel is made of what it calls, too.
    void join_called_functions() {
        if (depth_ == Depth::headers) return;
        std::map<std::string_view, size_t> by_name;
        for (size_t i = 0; i < functions_.size(); ++i) by_name.emplace(functions_[i].name, i);
        u64 left_visits = 64 * functions_.size() + 4096;
        for (size_t i = 0; i < functions_.size(); ++i) {
            if (functions_[i].kernel >= 0) join(i, by_name, left_visits);
        }
    }

    void join(size_t function, const std::map<std::string_view, size_t>& by_name, u64& left_visits) {
        Kernel& kernel = image_.kernels[static_cast<size_t>(functions_[function].kernel)];
        BodyFacts facts;
        std::vector<std::string> texts;
        std::set<size_t> seen{function};
        std::vector<size_t> pending{function};
        while (!pending.empty() && left_visits > 0) {
            const Body& body = functions_[pending.back()].body;
            pending.pop_back();
            kernel.classes.bits |= body.classes.bits;
            kernel.uses_tensor_map |= body.uses_tensor_map;
            facts.has_effect |= body.has_effect;
            facts.traps |= body.traps;
            if (texts.size() < kMaxTexts) texts.insert(texts.end(), body.texts.begin(), body.texts.end());
            for (const std::string_view name : body.calls) {
                left_visits -= std::min<u64>(left_visits, 1);
                kernel.calls_printf |= name == "vprintf";
                const bool is_message = is_message_function(name);
                facts.calls_message |= is_message;
                const auto called = by_name.find(name);
                if (called != by_name.end() && seen.insert(called->second).second)
                    pending.push_back(called->second);
                else if (called == by_name.end() && !is_message)
                    facts.calls_unknown = true;
            }
        }
        facts.has_matrix_product = has_matrix_product(kernel.classes);
        kernel.classes_known = true;
        kernel.stub = stub_of(facts, kernel.num_parameters, texts);
    }

    void damage(std::string sentence) {
        if (image_.damage.empty()) image_.damage = std::move(sentence);
    }

    PtxScanner scanner_;
    Depth depth_;
    Image& image_;
    FormUses* uses_;
    Architecture target_;
    bool is_disagreement_said_ = false;
    bool is_extern_ = false;
    std::vector<Variable> shared_;                   // of the module
    std::map<std::string_view, std::string> texts_;  // by variable
    std::vector<Function> functions_;
};

// "// Cuda compilation tools, release 13.0, V13.0.88", of nvcc and NVRTC; "Generated by LLVM NVPTX Back-End".
void read_banner(std::string_view text, Image& image) {
    const std::string_view head = text.substr(0, 1024);
    if (head.find("LLVM NVPTX Back-End") != head.npos) image.toolkit = "LLVM NVPTX";
    const size_t at = head.find("Cuda compilation tools");
    if (at == head.npos) return;
    const std::string_view line = head.substr(at, head.substr(at).find('\n'));
    const size_t version = line.rfind('V');
    if (version == line.npos) return;
    std::string_view number = line.substr(version + 1);
    number = number.substr(0, number.find_first_not_of("0123456789."));
    if (!number.empty()) image.toolkit = number;
}

}  // namespace

void read_ptx(std::string_view text, Depth depth, Image& image, FormUses* uses) {
    image.kind = ImageKind::ptx;
    read_banner(text, image);
    PtxReader(text, depth, image, uses).read();
}

}  // namespace warpwright::inspect
