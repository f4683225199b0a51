// SPDX-License-Identifier: Apache-2.0
#include "device/variables.h"

#include <algorithm>
#include <cstdlib>

#include "device/data_table.h"

namespace warpwright {
namespace {

std::vector<KnownVariable> read_variables() {
    constexpr std::string_view kPath = "data/variables.toml";
    std::vector<KnownVariable> variables;
    for_each_table(kPath, data_file(kPath), "variable", [&](DataTable& table) {
        KnownVariable variable;
        variable.name = table.text("name");
        variable.of = table.text("of");
        variable.kind = table.one_of("kind", {"kernels", "transport", "build", "runtime"});
        variable.does = table.text("does");
        variable.source = table.text("source");
        variable.date = table.date("date");
        if (std::ranges::find(variables, variable.name, &KnownVariable::name) != variables.end())
            table.broken("is there twice");
        variables.push_back(std::move(variable));
    });
    return variables;
}

}  // namespace

std::span<const KnownVariable> known_variables() {
    static const std::vector<KnownVariable> variables = read_variables();
    return variables;
}

const KnownVariable* find_variable(std::string_view name) {
    const auto found = std::ranges::find(known_variables(), name, &KnownVariable::name);
    return found == known_variables().end() ? nullptr : &*found;
}

std::vector<SetVariable> set_variables() {
    std::vector<SetVariable> found;
    for (const KnownVariable& variable : known_variables()) {
        if (const char* value = std::getenv(variable.name.c_str())) found.push_back({variable.name, value});
    }
    return found;
}

}  // namespace warpwright
