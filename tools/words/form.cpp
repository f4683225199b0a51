// SPDX-License-Identifier: Apache-2.0
#include "tools/words/form.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include <fmt/format.h>

#include "tools/words/values.h"

namespace warpwright::words {
namespace {

int aligned(int offset, int bytes) {
    return (offset + bytes - 1) / bytes * bytes;
}

void append_field(std::vector<Field>& fields, std::string_view word) {
    Field field;
    field.in_memory = word.ends_with('*');
    if (field.in_memory) word.remove_suffix(1);
    field.kind = &kind_named(word);
    if (!fields.empty()) {
        const Field& last = fields.back();
        field.offset = aligned(last.offset + last.kind->bytes, field.kind->bytes);
    }
    fields.push_back(field);
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        if (end > 0) words.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

std::string operand_list(const char* prefix, std::size_t count) {
    std::string list;
    for (std::size_t i = 0; i < count; ++i) list += fmt::format(", %{}{}", prefix, i);
    return list;
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
    for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + with.size()))
        text.replace(at, what.size(), with);
}

const char* register_type(const Kind& kind) {
    if (kind.is_predicate) return "pred";
    switch (kind.bytes) {
        case 2: return "b16";
        case 4: return "b32";
        case 8: return "b64";
        default: return "b128";
    }
}

std::string declaration(const char* prefix, const std::vector<Field>& fields) {
    std::string text;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        if (fields[i].in_memory) continue;
        text += fmt::format("\t.reg .{} %{}{};\n", register_type(*fields[i].kind), prefix, i);
    }
    return text;
}

}  // namespace

int Form::record_bytes(const std::vector<Field>& fields) {
    if (fields.empty()) return 0;
    int alignment = 1;
    for (const Field& field : fields) alignment = std::max(alignment, field.kind->bytes);
    return aligned(fields.back().offset + fields.back().kind->bytes, alignment);
}

void Statements::add(const std::string& opcode, const std::string& result, const std::string& sources) {
    results += " " + result;
    body += fmt::format("{} %o{}, {};\n", opcode, count++, sources);
}

Form& Forms::add(std::string name, std::string_view signature, std::string body) {
    Form form;
    bool is_output = false;
    for (const std::string_view word : words_of(signature)) {
        if (word == ">")
            is_output = true;
        else
            append_field(is_output ? form.outputs : form.inputs, word);
    }
    if (body.empty()) {
        body = name +
               (operand_list("o", form.outputs.size()) + operand_list("i", form.inputs.size()))
                   .replace(0, 1, "") +
               ";";
    }
    form.name = std::move(name);
    form.body = std::move(body);
    forms_.push_back(std::move(form));
    return forms_.back();
}

Form& Forms::add_all(std::string title, const std::vector<std::string>& opcodes, std::string_view operands,
                     std::string_view result) {
    Statements statements;
    const std::string sources = operand_list("i", words_of(operands).size()).erase(0, 2);
    for (const std::string& opcode : opcodes) statements.add(opcode, std::string(result), sources);
    return add(std::move(title), std::string(operands) + " >" + statements.results, statements.body);
}

const std::vector<Form>& all_forms() {
    static const std::vector<Form> all = [] {
        Forms forms;
        for (const auto add : {add_integer_forms, add_float_forms, add_approximate_forms, add_half_forms,
                               add_compare_forms, add_convert_forms, add_memory_forms, add_atomic_forms,
                               add_warp_forms, add_matrix_forms, add_mma_forms})
            add(forms);
        std::vector<Form> list = forms.take();
        std::set<std::string_view> names;
        for (const Form& form : list) {
            if (names.insert(form.name).second && form.vectors % form.block_threads == 0) continue;
            std::fprintf(stderr, "form %s: named twice, or its last block is not full\n", form.name.c_str());
            std::abort();
        }
        return list;
    }();
    return all;
}

std::string kernel_text(const Form& form) {
    std::string body = form.body;
    for (const auto& [prefix, fields] : {std::pair{"@i", &form.inputs}, std::pair{"@o", &form.outputs}}) {
        // From the last, so that @i1 is not taken for the start of @i12.
        for (std::size_t i = fields->size(); i-- > 0;)
            replace_all(body, fmt::format("{}{}", prefix, i), fmt::format("{}", (*fields)[i].offset));
    }

    std::string text = fmt::format(
        "// {}\n"
        ".version 9.0\n"
        ".target sm_90a\n"
        ".address_size 64\n"
        "{}\n"
        ".visible .entry words(.param .align 8 .b8 words_param_0[16])\n"
        ".maxntid {}, 1, 1\n"
        "{{\n"
        "\t.reg .pred %p<8>;\n"
        "\t.reg .b16 %h<16>;\n"
        "\t.reg .b32 %r<32>;\n"
        "\t.reg .b64 %l<16>;\n"
        "\t.reg .b32 %thread, %lane, %warp, %index, %buffer;\n"
        "\t.reg .b64 %in, %out;\n",
        form.name, form.declarations, form.block_threads);
    text += declaration("i", form.inputs) + declaration("o", form.outputs);
    if (form.shared_bytes > 0)
        text += fmt::format("\t.shared .align 16 .b8 shared_memory[{}];\n", form.shared_bytes);
    text += fmt::format(
        "\tmov.u32 %thread, %tid.x;\n"
        "\tmov.u32 %index, %ctaid.x;\n"
        "\tmad.lo.u32 %index, %index, {}, %thread;\n"
        "\tand.b32 %lane, %thread, 31;\n"
        "\tshr.u32 %warp, %thread, 5;\n"
        "\tld.param.u64 %in, [words_param_0];\n"
        "\tld.param.u64 %out, [words_param_0+8];\n"
        "\tmul.wide.u32 %l0, %index, {};\n"
        "\tadd.u64 %in, %in, %l0;\n"
        "\tmul.wide.u32 %l0, %index, {};\n"
        "\tadd.u64 %out, %out, %l0;\n",
        form.block_threads, form.input_bytes(), form.output_bytes());
    if (form.shared_bytes > 0) text += "\tmov.u32 %buffer, shared_memory;\n";
    for (std::size_t i = 0; i < form.inputs.size(); ++i) {
        const Field& field = form.inputs[i];
        if (field.in_memory) continue;
        if (field.kind->is_predicate) {
            text +=
                fmt::format("\tld.global.u32 %r0, [%in+{}];\n\tsetp.ne.u32 %i{}, %r0, 0;\n", field.offset, i);
        } else {
            text +=
                fmt::format("\tld.global.{} %i{}, [%in+{}];\n", register_type(*field.kind), i, field.offset);
        }
    }
    text += "\n" + body + (body.ends_with('\n') ? "" : "\n") + "\n";
    for (std::size_t i = 0; i < form.outputs.size(); ++i) {
        const Field& field = form.outputs[i];
        if (field.in_memory) continue;
        if (field.kind->is_predicate) {
            text += fmt::format("\tselp.u32 %r0, 1, 0, %o{};\n\tst.global.u32 [%out+{}], %r0;\n", i,
                                field.offset);
        } else {
            text +=
                fmt::format("\tst.global.{} [%out+{}], %o{};\n", register_type(*field.kind), field.offset, i);
        }
    }
    return text + "\tret;\n}\n";
}

std::string statement_of(const Form& form, int output) {
    const std::string name =
        fmt::format("{}o{}", form.outputs[static_cast<std::size_t>(output)].in_memory ? '@' : '%', output);
    std::string_view body = form.body;
    while (!body.empty()) {
        const std::size_t end = std::min(body.find(';'), body.size());
        std::string_view statement = body.substr(0, end);
        body.remove_prefix(std::min(end + 1, body.size()));
        const std::size_t at = statement.find(name);
        const std::size_t after = at + name.size();
        if (at == statement.npos || (after < statement.size() && std::isdigit(statement[after]))) continue;
        const std::size_t first = statement.find_first_not_of(" \n\t");
        return std::string(statement.substr(first));
    }
    return form.name;
}

}  // namespace warpwright::words
