// SPDX-License-Identifier: Apache-2.0
#include "isa/table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <unordered_map>

#include <fmt/format.h>

#include "image/embedded.h"

namespace warpwright::isa {
namespace {

// Types as suffixes, in alphabetical order. They keep their order in a form's name: cvt.f16.f32 is not
// cvt.f32.f16.
constexpr std::string_view kTypes[] = {
    "b1",     "b128",   "b16",  "b32",    "b64",    "b8",   "bf16",   "bf16x2", "e2m1",
    "e2m1x2", "e2m1x4", "e2m3", "e2m3x2", "e2m3x4", "e3m2", "e3m2x2", "e3m2x4", "e4m3",
    "e4m3x2", "e4m3x4", "e5m2", "e5m2x2", "e5m2x4", "f16",  "f16x2",  "f32",    "f32x2",
    "f64",    "pred",   "s16",  "s16x2",  "s32",    "s4",   "s64",    "s8",     "tf32",
    "u16",    "u16x2",  "u32",  "u4",     "u64",    "u8",   "ue4m3",  "ue8m0",  "ue8m0x2"};
static_assert(std::ranges::is_sorted(kTypes));

bool is_type(std::string_view part) {
    return std::ranges::binary_search(kTypes, part);
}

std::vector<std::string_view> split(std::string_view text, char mark) {
    std::vector<std::string_view> parts;
    for (std::size_t start = 0; start <= text.size();) {
        const std::size_t end = std::min(text.find(mark, start), text.size());
        parts.push_back(text.substr(start, end - start));
        start = end + 1;
    }
    return parts;
}

// "ld.{global,shared}.b32" -> both.
void expand(const std::string& pattern, std::vector<std::string>& found) {
    const std::size_t open = pattern.find('{');
    if (open == pattern.npos) return found.push_back(pattern);
    const std::size_t close = pattern.find('}', open);
    for (const std::string_view option :
         split(std::string_view(pattern).substr(open + 1, close - open - 1), ','))
        expand(pattern.substr(0, open) + std::string(option) + pattern.substr(close + 1), found);
}

Way way_of(char letter) {
    switch (letter) {
        case '.': return Way::illegal;
        case 'n': return Way::native;
        case 'e': return Way::emulated;
        case 's': return Way::split;
        case 'h': return Way::slower;
        case 'c': return Way::call;
        default: return Way::unread;
    }
}

Mask mask_of(const std::vector<Way>& ways) {
    Mask mask = 0;
    for (std::size_t i = 0; i < ways.size(); ++i) mask |= static_cast<Mask>(ways[i] != Way::illegal) << i;
    return mask;
}

std::vector<Way> ways_of(std::string_view row) {
    std::vector<Way> ways;
    for (const char letter : row) ways.push_back(way_of(letter));
    return ways;
}

struct Rule {
    std::vector<std::string> modifiers;  // all of them, in the order of the form's name
    Mask targets = 0;
};

struct Table {
    std::vector<Architecture> architectures;
    std::vector<Snippet> snippets;
    std::vector<Form> forms;
    std::unordered_map<std::string_view, int> form_named;  // into `forms`, whose names do not move any more
    std::unordered_map<std::string, std::vector<Rule>> rules;  // by opcode
    std::vector<Note> notes;
    std::map<std::string, std::string, std::less<>> families;  // by opcode

    Table() {
        for (const EmbeddedFile& file : embedded_data()) {
            if (file.path == "data/isa.json") read(nlohmann::json::parse(file.text));
        }
        if (architectures.empty()) throw std::logic_error("data/isa.json: not compiled into the library");
    }

    void read(const nlohmann::json& root) {
        const auto& versions = root.at("ptx_of_target");
        for (const auto& entry : root.at("targets")) {
            Architecture architecture;
            architecture.name = entry.get<std::string>();
            const char* const end = architecture.name.data() + architecture.name.size();
            const char* const rest =
                std::from_chars(architecture.name.data() + 3, end, architecture.capability).ptr;
            if (rest != end) architecture.suffix = *rest;
            architecture.version = parse_version(versions.at(architectures.size()).get<std::string>());
            architectures.push_back(std::move(architecture));
        }
        for (const auto& entry : root.at("measured")) read_snippet(entry);
        for (const auto& group : root.at("assembled")) {
            const Mask targets = mask_of(ways_of(group.at(0).get<std::string>()));
            const int version = parse_version(group.at(1).get<std::string>());
            std::vector<std::string> spelled;
            for (const std::string_view pattern : split(group.at(2).get_ref<const std::string&>(), ' '))
                expand(std::string(pattern), spelled);
            for (std::string& one : spelled) add({"", std::move(one), targets, version, -1});
        }
        for (const auto& rule : root.at("rules")) {
            rules[rule.at(0).get<std::string>()].push_back({rule.at(1).get<std::vector<std::string>>(),
                                                            mask_of(ways_of(rule.at(2).get<std::string>()))});
        }
        for (const auto& note : root.at("notes")) {
            notes.push_back({note.at(0).get<std::string>(), note.at(1).get<std::vector<std::string>>(),
                             on_targets(note.at(3), note.at(2)), note.at(4).get<std::string>()});
        }
        families = root.at("families").get<std::map<std::string, std::string, std::less<>>>();
        sort_forms();
    }

    void read_snippet(const nlohmann::json& entry) {
        Snippet snippet;
        snippet.name = entry.at("name").get<std::string>();
        snippet.group = entry.at("group").get<std::string>();
        snippet.ptx = entry.at("ptx").get<std::string>();
        snippet.directives = entry.value("directives", "");
        snippet.ways = ways_of(entry.at("legal").get<std::string>());
        if (!entry.at("version").is_null())
            snippet.version = parse_version(entry.at("version").get<std::string>());
        for (const auto& [key, list] : {std::pair{"how", &snippet.how}, {"sass", &snippet.sass}}) {
            if (!entry.contains(key)) continue;
            for (const auto& item : entry.at(key)) list->push_back(on_targets(item.at(0), item.at(1)));
        }
        if (entry.contains("refusals"))
            snippet.refusals = entry.at("refusals").get<std::vector<std::string>>();
        snippet.note = entry.value("note", "");
        const Mask targets = mask_of(snippet.ways);
        const int index = static_cast<int>(snippets.size());
        snippet.num_forms = static_cast<int>(entry.at("forms").size());
        for (const auto& spelled : entry.at("forms"))
            add({"", spelled.get<std::string>(), targets, snippet.version, index});
        snippets.push_back(std::move(snippet));
    }

    OnTargets on_targets(const nlohmann::json& text, const nlohmann::json& names) const {
        OnTargets found{text.get<std::string>(), 0};
        for (const std::string_view name : split(names.get_ref<const std::string&>(), ' ')) {
            for (std::size_t i = 0; i < architectures.size(); ++i) {
                if (architectures[i].name.substr(3) == name) found.targets |= Mask{1} << i;
            }
        }
        return found;
    }

    void add(Form form) {
        form.name = form_name(form.spelled);
        forms.push_back(std::move(form));
    }

    // Of one name, what more targets take stays: what assembles in one snippet is legal, whatever operands
    // another one has.
    void sort_forms() {
        std::ranges::stable_sort(forms, [](const Form& a, const Form& b) {
            if (a.name != b.name) return a.name < b.name;
            return std::popcount(a.targets) > std::popcount(b.targets);
        });
        // Not of std::ranges: their subrange is beyond the compiler of the fuzz targets.
        forms.erase(std::unique(forms.begin(), forms.end(),
                                [](const Form& a, const Form& b) { return a.name == b.name; }),
                    forms.end());
        form_named.reserve(forms.size());
        for (std::size_t i = 0; i < forms.size(); ++i) form_named.emplace(forms[i].name, static_cast<int>(i));
    }
};

const Table& table() {
    static const Table kTable;
    return kTable;
}

bool contains_in_order(std::span<const std::string_view> parts, std::span<const std::string> wanted) {
    std::size_t found = 0;
    for (const std::string_view part : parts) {
        if (found < wanted.size() && part == wanted[found]) ++found;
    }
    return found == wanted.size();
}

}  // namespace

const char* way_name(Way way) {
    switch (way) {
        case Way::illegal: return "not legal";
        case Way::native: return "native";
        case Way::emulated: return "emulated";
        case Way::split: return "split";
        case Way::slower: return "slower";
        case Way::call: return "may call";
        case Way::unread: break;
    }
    return "legal";
}

const std::vector<Architecture>& architectures() {
    return table().architectures;
}

int index_of(std::string_view architecture) {
    const auto& all = architectures();
    const auto found = std::ranges::find(all, architecture, &Architecture::name);
    return found == all.end() ? -1 : static_cast<int>(found - all.begin());
}

bool runs_on(const Architecture& architecture, int compute_capability) {
    if (architecture.suffix == 'a') return architecture.capability == compute_capability;
    if (architecture.suffix == 'f' && architecture.capability / 10 != compute_capability / 10) return false;
    return architecture.capability <= compute_capability;
}

bool assembles_for(const Architecture& text, const Architecture& wanted) {
    if (text.suffix == 'a') return text.name == wanted.name;
    return runs_on(text, wanted.capability);
}

const std::vector<Snippet>& snippets() {
    return table().snippets;
}

const std::vector<Form>& forms() {
    return table().forms;
}

const Form* find_form(std::string_view name) {
    const auto found = table().form_named.find(name);
    return found == table().form_named.end() ? nullptr
                                             : &table().forms[static_cast<std::size_t>(found->second)];
}

Way Form::way(int architecture) const {
    if ((targets >> architecture & 1u) == 0) return Way::illegal;
    if (snippet < 0) return Way::unread;
    return snippets()[static_cast<std::size_t>(snippet)].ways[static_cast<std::size_t>(architecture)];
}

std::string code_text(const Form& form, int architecture) {
    if (form.snippet < 0) return "";
    const Snippet& snippet = snippets()[static_cast<std::size_t>(form.snippet)];
    std::string text;
    for (const std::vector<OnTargets>* const list : {&snippet.how, &snippet.sass}) {
        for (const OnTargets& one : *list) {
            if ((one.targets >> architecture & 1u) != 0) text += (text.empty() ? "" : ": ") + one.text;
        }
    }
    if (snippet.num_forms > 1 && !text.empty())
        text +=
            fmt::format(" (with {} other form{})", snippet.num_forms - 1, snippet.num_forms == 2 ? "" : "s");
    return text;
}

std::vector<const Note*> notes_of(std::string_view form) {
    const std::vector<std::string_view> parts = split(form, '.');
    std::vector<const Note*> found;
    for (const Note& note : table().notes) {
        const bool is_meant = std::ranges::all_of(note.modifiers, [&](const std::string& modifier) {
            return std::ranges::find(parts, modifier) != parts.end();
        });
        if (parts[0] == note.opcode && is_meant) found.push_back(&note);
    }
    return found;
}

size_t num_notes() {
    return table().notes.size();
}

std::string_view family_text(std::string_view opcode) {
    const auto found = table().families.find(opcode);
    return found == table().families.end() ? std::string_view() : found->second;
}

std::string form_name(std::string_view mnemonic, bool is_wide) {
    if (mnemonic.starts_with('%') || mnemonic.starts_with('.')) return std::string(mnemonic);
    constexpr std::size_t kMostParts = 32;
    std::array<std::string_view, kMostParts> others, types;
    std::size_t num_others = 0, num_types = 0;
    const std::size_t dot = std::min(mnemonic.find('.'), mnemonic.size());
    for (std::size_t at = dot; at < mnemonic.size();) {
        const std::size_t end = std::min(mnemonic.find('.', at + 1), mnemonic.size());
        const std::string_view part = mnemonic.substr(at + 1, end - at - 1);
        at = end;
        if (num_others + num_types == kMostParts) return std::string(mnemonic);  // no instruction
        if (is_type(part))
            types[num_types++] = part;
        else
            others[num_others++] = part;
    }
    std::sort(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(num_others));
    std::string name(mnemonic.substr(0, dot));
    if (is_wide) name += "/4";
    for (std::size_t i = 0; i < num_others; ++i) name.append(".").append(others[i]);
    for (std::size_t i = 0; i < num_types; ++i) name.append(".").append(types[i]);
    return name;
}

Mask targets_by_rule(std::string_view form) {
    Mask mask = (Mask{1} << architectures().size()) - 1;
    const std::vector<std::string_view> parts = split(form, '.');
    const auto apply = [&](std::string_view opcode) {
        const auto rules = table().rules.find(std::string(opcode));
        if (rules == table().rules.end()) return;
        for (const Rule& rule : rules->second) {
            if (contains_in_order(std::span(parts).subspan(1), rule.modifiers)) mask &= rule.targets;
        }
    };
    apply(parts[0]);
    if (const std::size_t slash = parts[0].find('/'); slash != parts[0].npos)
        apply(parts[0].substr(0, slash));
    return mask;
}

std::string targets_text(Mask targets, std::string_view none) {
    const auto& all = architectures();
    std::string names;
    int first = 0;
    Mask later = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if ((targets >> i & 1u) == 0) continue;
        if (first == 0) first = all[i].capability;
        names += (names.empty() ? "" : ", ") + all[i].name;
    }
    for (std::size_t i = 0; i < all.size(); ++i) later |= static_cast<Mask>(all[i].capability >= first) << i;
    if (names.empty()) return std::string(none);
    return later == targets ? fmt::format("sm_{} or later", first) : names;
}

std::string least_text(Mask targets, std::string_view none) {
    std::string text = targets_text(targets, none);
    if (targets == 0 || text.ends_with(" or later")) return text;
    text.clear();
    for (const Architecture& plain : architectures()) {
        if (plain.suffix != 0) continue;
        for (const char suffix : {'\0', 'f', 'a'}) {
            const std::string name = suffix == 0 ? plain.name : plain.name + suffix;
            const int index = index_of(name);
            if (index < 0 || (targets >> index & 1u) == 0) continue;
            text += (text.empty() ? "" : ", ") + name;
            break;
        }
    }
    return text;
}

std::string version_text(int version) {
    return fmt::format("{}.{}", version / 10, version % 10);
}

int parse_version(std::string_view text) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    int major = 0, minor = 0;
    std::from_chars(text.data(), text.data() + dot, major);
    if (dot < text.size()) std::from_chars(text.data() + dot + 1, text.data() + text.size(), minor);
    return 10 * major + minor;
}

}  // namespace warpwright::isa
