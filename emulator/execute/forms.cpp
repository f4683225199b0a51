// SPDX-License-Identifier: Apache-2.0
#include "emulator/execute/forms.h"

#include <deque>
#include <string>
#include <vector>

namespace warpwright::emulator {
namespace {

// The next item of a form's modifiers: ".x", "{.x}" or ".{x,y}".
struct Item {
    std::string_view names;  // "x" or "x,y"
    bool is_optional = false;
};
Item next_item(std::string_view* text) {
    Item item;
    if (text->starts_with("{.")) {
        const std::size_t end = text->find('}');
        item = {text->substr(2, end - 2), true};
        *text = text->substr(end + 1);
    } else if (text->starts_with(".{")) {
        const std::size_t end = text->find('}');
        item = {text->substr(2, end - 2), false};
        *text = text->substr(end + 1);
    } else {
        const std::size_t end = text->find_first_of(".{", 1);
        item = {text->substr(1, end == text->npos ? end : end - 1), false};
        *text = end == text->npos ? std::string_view{} : text->substr(end);
    }
    return item;
}

bool is_one_of(std::string_view name, std::string_view names) {
    while (!names.empty()) {
        const std::size_t end = names.find(',');
        if (names.substr(0, end) == name) return true;
        names = end == names.npos ? std::string_view{} : names.substr(end + 1);
    }
    return false;
}

bool is_type(std::string_view name) {
    return type_named(name) != Type::none;
}

}  // namespace

bool matches(const Form& form, const Statement& statement) {
    if (form.opcode != statement.opcode) return false;
    // No form has more; the bit says that the modifier is used up.
    const std::size_t count = statement.modifiers.size();
    if (count > 32) return false;
    u32 used = 0;
    for (std::string_view rest = form.modifiers; !rest.empty();) {
        const Item item = next_item(&rest);
        const bool wants_type = is_type(item.names.substr(0, item.names.find(',')));
        bool found = false;
        for (std::size_t i = 0; i < count && !found; ++i) {
            const std::string& modifier = statement.modifiers[i];
            if ((used >> i & 1u) != 0 || is_type(modifier) != wants_type) continue;
            found = is_one_of(modifier, item.names);
            if (found) used |= 1u << i;
            if (wants_type) break;  // the first type left must be this one
        }
        if (!found && !item.is_optional) return false;
    }
    return used == (count == 32 ? ~0u : (1u << count) - 1);
}

Status bind_form(Binding& binding, std::initializer_list<std::span<const Form>> tables) {
    const Statement& statement = binding.statement();
    for (const std::span<const Form> table : tables) {
        for (const Form& form : table) {
            if (binding.num_operands() != 1 + form.num_sources || !matches(form, statement)) continue;
            for (const std::string& modifier : statement.modifiers) binding.take(modifier);
            binding.dest(0, form.dest);
            for (int k = 0; k < form.num_sources; ++k) binding.source(1 + k, form.source[k]);
            binding.handler(form.handler);
            return {};
        }
    }
    return not_mine();
}

std::string_view forms_text(std::string_view opcode, std::initializer_list<std::span<const Form>> tables) {
    static std::deque<std::string> texts;  // called while the lists of opcodes are made, by one thread
    std::vector<std::string_view> modifiers;
    for (const std::span<const Form> table : tables) {
        for (const Form& form : table) {
            if (form.opcode == opcode) modifiers.push_back(form.modifiers);
        }
    }
    return texts.emplace_back(compact_forms(modifiers));
}

}  // namespace warpwright::emulator
