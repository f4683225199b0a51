// SPDX-License-Identifier: Apache-2.0
#include "inspect/isa/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "dispatch/nearest.h"
#include "inspect/isa/judge.h"

namespace warpwright::inspect {

namespace {

using Forms = std::vector<const isa::Form*>;

std::vector<std::string_view> parts_of(std::string_view text) {
    std::vector<std::string_view> parts;
    for (size_t start = 0; start <= text.size();) {
        const size_t end = std::min(text.find_first_of(". ", start), text.size());
        if (end > start) parts.push_back(text.substr(start, end - start));
        start = end + 1;
    }
    return parts;
}

std::string_view opcode_of(std::string_view form) {
    return form.substr(0, form.find_first_of("./", 1));
}

bool is_opcode(std::string_view word) {
    return std::ranges::any_of(isa::forms(),
                               [&](const isa::Form& form) { return opcode_of(form.spelled) == word; });
}

// Each of the wanted is a part of the form, each part is used once; the last may be a beginning.
bool has_parts(std::string_view form, const std::vector<std::string_view>& wanted) {
    std::vector<std::string_view> parts = parts_of(form);
    for (size_t i = 0; i < wanted.size(); ++i) {
        auto found = std::ranges::find(parts, wanted[i]);
        if (found == parts.end() && i + 1 == wanted.size())
            found = std::ranges::find_if(parts,
                                         [&](std::string_view part) { return part.starts_with(wanted[i]); });
        if (found == parts.end()) return false;
        parts.erase(found);
    }
    return true;
}

Forms forms_with(const std::vector<std::string_view>& wanted) {
    Forms found;
    const bool names_opcode = is_opcode(wanted.front());
    for (const isa::Form& form : isa::forms()) {
        if (names_opcode && opcode_of(form.spelled) != wanted.front()) continue;
        if (has_parts(form.spelled, wanted)) found.push_back(&form);
    }
    return found;
}

Forms forms_of_snippet(std::string_view name) {
    Forms found;
    for (size_t i = 0; i < isa::snippets().size(); ++i) {
        if (isa::snippets()[i].name != name) continue;
        for (const isa::Form& form : isa::forms()) {
            if (form.snippet == static_cast<int>(i)) found.push_back(&form);
        }
    }
    return found;
}

// The query with each word that no form of its opcode has replaced by the nearest that one has.
std::string suggestion(const std::vector<std::string_view>& wanted) {
    std::set<std::string> opcodes;
    for (const isa::Form& form : isa::forms()) opcodes.emplace(opcode_of(form.spelled));
    std::string opcode(wanted.front());
    if (!opcodes.contains(opcode))
        opcode = nearest(opcode, std::vector<std::string>(opcodes.begin(), opcodes.end()));
    std::set<std::string> words;
    for (const isa::Form& form : isa::forms()) {
        if (opcode_of(form.spelled) != opcode) continue;
        for (const std::string_view part : parts_of(form.spelled)) words.emplace(part);
    }
    const std::vector<std::string> list(words.begin(), words.end());
    std::string text = opcode;
    for (size_t i = 1; i < wanted.size(); ++i) {
        const std::string word(wanted[i]);
        text += "." + (words.contains(word) ? word : nearest(word, list));
    }
    return text;
}

}  // namespace

Result<Forms> search_forms(std::string_view wanted) {
    const std::vector<std::string_view> parts = parts_of(wanted);
    if (parts.empty()) return caller_error("expected an instruction, such as mma.sync or cvt.e4m3x2");
    if (const isa::Form* const form = isa::find_form(isa::form_name(wanted))) return Forms{form};
    Forms found = forms_of_snippet(wanted);
    if (found.empty()) found = forms_with(parts);
    if (found.empty()) {
        const std::string nearest_text = suggestion(parts);
        const bool helps = !forms_with(parts_of(nearest_text)).empty();
        return caller_error(fmt::format("{}: no instruction that was measured; nearest: {}", wanted,
                                        helps ? nearest_text : std::string(parts_of(nearest_text).front())));
    }
    std::ranges::stable_sort(found, [](const isa::Form* a, const isa::Form* b) {
        if ((a->snippet >= 0) != (b->snippet >= 0)) return a->snippet >= 0;
        return a->spelled.size() < b->spelled.size();
    });
    return found;
}

std::vector<ClassWay> ways_by_class(const isa::Form& form) {
    static const std::vector<IsaTarget> classes = all_classes();
    std::vector<ClassWay> ways;
    for (const IsaTarget& one : classes) {
        ClassWay way;
        for (const int architecture : one.architectures) {
            if (way.architecture >= 0 || form.way(architecture) == isa::Way::illegal) continue;
            way = {architecture, form.way(architecture)};
        }
        ways.push_back(way);
    }
    return ways;
}

std::string way_cell(const ClassWay& way) {
    std::string cell;
    switch (way.way) {
        case isa::Way::illegal: return ".";
        case isa::Way::native: cell = "n"; break;
        case isa::Way::emulated: cell = "e"; break;
        case isa::Way::split: cell = "s"; break;
        case isa::Way::slower: cell = "h"; break;
        case isa::Way::call: cell = "c"; break;
        case isa::Way::unread: cell = "y"; break;
    }
    const char suffix = isa::architectures()[static_cast<size_t>(way.architecture)].suffix;
    if (suffix != 0) cell += suffix;
    return cell;
}

std::vector<FormGroup> group_forms(const Forms& forms) {
    std::vector<FormGroup> groups;
    std::map<std::pair<std::string, int>, size_t> known;
    for (const isa::Form* const form : forms) {
        std::vector<ClassWay> ways = ways_by_class(*form);
        std::string key;
        for (const ClassWay& way : ways) key += way_cell(way) + " ";
        const auto [found, is_new] = known.emplace(std::pair{key, form->version}, groups.size());
        if (is_new) groups.push_back({{}, std::move(ways), form->version});
        groups[found->second].forms.push_back(form);
    }
    return groups;
}

std::vector<Family> families() {
    std::map<std::string_view, Family> found;
    for (const isa::Form& form : isa::forms()) {
        if (form.spelled[0] == '%' || form.spelled[0] == '.') continue;
        Family& family = found[opcode_of(form.spelled)];
        ++family.num_forms;
        family.targets |= form.targets;
        if (form.version != 0 && (family.version == 0 || form.version < family.version))
            family.version = form.version;
    }
    std::vector<Family> all;
    for (auto& [opcode, family] : found) {
        family.opcode = opcode;
        family.text = isa::family_text(opcode);
        all.push_back(std::move(family));
    }
    return all;
}

}  // namespace warpwright::inspect
