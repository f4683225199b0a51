// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "dispatch/nearest.h"
#include "inspect/libraries/library.h"

namespace warpwright::libraries {
namespace {

std::string lower(std::string_view text) {
    std::string out;
    for (const char c : text)
        out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c == ' ' || c == '_' ? '-' : c;
    return out;
}

std::vector<std::string> names_of(const Library& library) {
    std::vector<std::string> names{library.id, lower(library.name)};
    names.insert(names.end(), library.aliases.begin(), library.aliases.end());
    return names;
}

bool contains(const std::vector<std::string>& list, std::string_view id) {
    return std::ranges::find(list, id) != list.end();
}

}  // namespace

std::string class_name(int capability) {
    return fmt::format("SM{}", capability);
}

Result<int> class_of(const Target& target) {
    const int capability = target.facts.compute_capability;
    int found = 0;
    for (const int column : kClasses)
        if (column <= capability && column / 10 == capability / 10) found = column;
    if (found != 0) return found;
    if (capability == 0)
        return caller_error(fmt::format("{}: expected a GPU, 'warpwright targets' lists them", target.id));
    return caller_error(fmt::format("{} is {}: expected a GPU of compute capability 8.x, 9.0, 10.x or 12.x",
                                    target.id, class_name(capability)));
}

Result<const Library*> find_library(std::string_view name) {
    const std::string wanted = lower(name);
    std::vector<std::string> all;
    for (const Library& library : libraries()) {
        for (std::string& known : names_of(library)) {
            if (known == wanted) return &library;
            all.push_back(std::move(known));
        }
    }
    return caller_error(fmt::format("no library named '{}'; nearest: {}; 'warpwright libraries' lists them",
                                    name, nearest(wanted, all)));
}

std::vector<const Library*> libraries_with(std::string_view fingerprint_or_failure) {
    std::vector<const Library*> found;
    for (const Library& library : libraries()) {
        if (contains(library.fingerprints, fingerprint_or_failure) ||
            contains(library.failures, fingerprint_or_failure))
            found.push_back(&library);
    }
    return found;
}

std::string more_about(const std::vector<std::string>& fingerprints_or_failures) {
    std::vector<std::string> ids;
    for (const Library& library : libraries()) {
        const bool named = std::ranges::any_of(fingerprints_or_failures, [&](const std::string& id) {
            return contains(library.fingerprints, id) || contains(library.failures, id);
        });
        if (named) ids.push_back(library.id);
    }
    return ids.empty() ? "" : fmt::format("warpwright libraries {}", fmt::join(ids, ", "));
}

}  // namespace warpwright::libraries
