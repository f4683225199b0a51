// SPDX-License-Identifier: Apache-2.0
// How tables of forms are written for people.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "emulator/execute/forms.h"

namespace warpwright::emulator {
namespace {

using Texts = std::vector<std::string>;

// ".rn.sat.s32.f32" is ".rn.sat" with ".s32.f32": types stand at the end.
std::size_t start_of_types(std::string_view modifiers) {
    for (std::size_t at = 0; at < modifiers.size(); ++at) {
        if (modifiers[at] != '.') continue;
        const std::size_t start = modifiers.substr(at, 2) == ".{" ? at + 2 : at + 1;
        const std::size_t end = modifiers.find_first_of(".,{}", start);
        if (type_named(modifiers.substr(start, end == modifiers.npos ? end : end - start)) != Type::none)
            return at;
    }
    return modifiers.size();
}

// The list for `key`, made when it is the first time.
template <class Key>
Texts& list_of(std::vector<std::pair<Key, Texts>>& lists, const Key& key) {
    for (auto& [known, list] : lists) {
        if (known == key) return list;
    }
    return lists.emplace_back(key, Texts{}).second;
}

std::string joined(const Texts& texts, const char* separator) {
    std::string all;
    for (const std::string& text : texts) all += (all.empty() ? "" : separator) + text;
    return all;
}

// What may be added to the first of these prefixes, when all combinations of it are there: {"", ".a", ".b",
// ".a.b"} is {".a", ".b"}. Empty: they are no such set.
Texts options_of(const Texts& prefixes) {
    Texts options;
    std::vector<std::string> made = {prefixes[0]};
    for (const std::string& prefix : prefixes) {
        if (std::find(made.begin(), made.end(), prefix) != made.end()) continue;
        if (!prefix.starts_with(prefixes[0])) return {};
        options.push_back(prefix.substr(prefixes[0].size()));
        for (std::size_t i = 0, count = made.size(); i < count; ++i) made.push_back(made[i] + options.back());
    }
    const auto is_listed = [&](const std::string& text) {
        return std::find(prefixes.begin(), prefixes.end(), text) != prefixes.end();
    };
    const bool is_complete =
        made.size() == prefixes.size() && std::all_of(made.begin(), made.end(), is_listed);
    return is_complete ? options : Texts{};
}

// Types of the same modifiers: ".{f16,f16x2}", ".{u32,s32,u64}".
std::string alternatives(const Texts& types) {
    if (types.size() == 1) return types[0];
    Texts names;
    for (const std::string& type : types) {
        const bool is_list = type.starts_with(".{") && type.ends_with("}");
        names.push_back(is_list ? type.substr(2, type.size() - 3)
                                : type.substr(std::min<std::size_t>(1, type.size())));
    }
    return ".{" + joined(names, ",") + "}";
}

}  // namespace

std::string compact_forms(std::span<const std::string_view> modifiers) {
    std::vector<std::pair<std::string, Texts>> prefixes_of_types;
    for (const std::string_view text : modifiers) {
        const std::size_t types = start_of_types(text);
        list_of(prefixes_of_types, std::string(text.substr(types))).emplace_back(text.substr(0, types));
    }
    std::vector<std::pair<Texts, Texts>> types_of_prefixes;
    for (const auto& [types, prefixes] : prefixes_of_types)
        list_of(types_of_prefixes, prefixes).push_back(types);

    Texts forms;
    for (const auto& [prefixes, types] : types_of_prefixes) {
        const std::string end = alternatives(types);
        // Those that begin alike are a set or are not.
        for (Texts left = prefixes; !left.empty();) {
            const auto begins_so = [&, first = left[0]](const std::string& text) {
                return text.starts_with(first);
            };
            const auto others = std::stable_partition(left.begin(), left.end(), begins_so);
            const Texts group(left.begin(), others);
            left.erase(left.begin(), others);
            const Texts options = options_of(group);
            if (!options.empty()) {
                forms.push_back(group[0] + "{" + joined(options, "}{") + "}" + end);
            } else {
                for (const std::string& prefix : group) forms.push_back(prefix + end);
            }
        }
    }
    return joined(forms, " ");
}

}  // namespace warpwright::emulator
