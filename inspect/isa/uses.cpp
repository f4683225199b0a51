// SPDX-License-Identifier: Apache-2.0
#include "inspect/isa/uses.h"

#include <algorithm>
#include <map>

#include "inspect/text.h"
#include "isa/table.h"

namespace warpwright::inspect {

namespace {

constexpr size_t kMostCharacters = 160;  // of a line that is shown

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_name(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
}

// min and max are other instructions with four operands.
bool has_four_operands(std::string_view mnemonic, std::string_view operands) {
    if (!mnemonic.starts_with("min.") && !mnemonic.starts_with("max.")) return false;
    return std::ranges::count(operands, ',') == 3;
}

// The line around a position, without white space at its ends.
std::string line_at(std::string_view text, size_t at) {
    size_t begin = at == 0 ? 0 : text.rfind('\n', at - 1);
    begin = begin == text.npos ? 0 : begin;
    std::string_view line = text.substr(begin, std::min(text.find('\n', at), text.size()) - begin);
    constexpr std::string_view kSpace = " \t\r\n";
    line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
    line = line.substr(0, line.find_last_not_of(kSpace) + 1);
    // A file without line breaks: from the instruction on.
    const size_t from_line = static_cast<size_t>(line.data() - text.data());
    if (line.size() > 8 * kMostCharacters) line.remove_prefix(at - std::min(at, from_line));
    return shortened(line, kMostCharacters);
}

}  // namespace

void FormUses::begin_function(std::string_view name) {
    functions_.push_back(name);
}

void FormUses::count(const Key& key, size_t at) {
    const auto [found, is_new] = counts_.try_emplace(key);
    Count& count = found->second;
    const auto function = static_cast<u32>(functions_.size());
    if (is_new) {
        count.at = at;
        count.function = function;
    }
    if (is_new || count.last_function != function) ++count.num_functions;
    count.last_function = function;
    ++count.count;
}

void FormUses::add(std::string_view mnemonic, std::string_view operands, size_t at) {
    ++num_instructions_;
    count({mnemonic, has_four_operands(mnemonic, operands)}, at);
    count_special_registers(operands, at);
}

void FormUses::add_directive(std::string_view name, size_t at) {
    count({name}, at);
}

// Registers that a compiler names are left out at a glance: %r1, %rd12, %p3.
void FormUses::count_special_registers(std::string_view operands, size_t at) {
    for (size_t mark = operands.find('%'); mark != operands.npos; mark = operands.find('%', mark + 1)) {
        if (mark + 3 >= operands.size() || is_digit(operands[mark + 2])) continue;
        if (is_digit(operands[mark + 3]) && operands[mark + 1] != 'p') continue;
        size_t end = mark + 1;
        while (end < operands.size() && is_name(operands[end])) ++end;
        const std::string_view name = operands.substr(mark, end - mark);
        if (isa::find_form(name) != nullptr) count({name}, at);
    }
}

std::vector<FormUse> FormUses::uses() const {
    std::vector<std::pair<Key, Count>> sorted(counts_.begin(), counts_.end());
    std::ranges::sort(sorted, [](const auto& a, const auto& b) {
        return a.second.at != b.second.at ? a.second.at < b.second.at : a.first.name < b.first.name;
    });
    std::vector<FormUse> uses;
    std::map<std::string, size_t> by_form;
    size_t counted_to = 0;
    int line = 1;
    for (const auto& [key, count] : sorted) {
        line += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(counted_to),
                                            text_.begin() + static_cast<std::ptrdiff_t>(count.at), '\n'));
        counted_to = count.at;
        std::string form = isa::form_name(key.name, key.is_wide);
        // Spelled in two ways: one form.
        const auto [known, is_new] = by_form.emplace(form, uses.size());
        if (!is_new) {
            uses[known->second].count += count.count;
            uses[known->second].num_functions =
                std::max(uses[known->second].num_functions, count.num_functions);
            continue;
        }
        FormUse use;
        use.form = std::move(form);
        use.spelled = key.name;
        use.count = count.count;
        use.line = line;
        use.text = line_at(text_, count.at);
        if (count.function > 0) use.function = functions_[count.function - 1];
        use.num_functions = count.num_functions;
        uses.push_back(std::move(use));
    }
    return uses;
}

}  // namespace warpwright::inspect
