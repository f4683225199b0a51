// SPDX-License-Identifier: Apache-2.0
// What names mean in the brace scopes of a function, or in a module (one scope). An inner declaration hides
// an outer one until its scope closes.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "warpwright/types.h"

namespace warpwright::emulator {

struct Name {
    enum class Kind : u8 { none, reg, vector_reg, parameter, result, variable, function, label };
    Kind kind = Kind::none;
    u8 width = 1;      // of a vector register: its elements are index, index + 1, ...
    u16 depth = 0;     // of the scope that declares it
    int index = 0;     // in the list that the kind names
    int line = 0;      // of the declaration
    int declared = 0;  // how often, in scopes open or closed
};

class Names {
public:
    // Null for a name that means nothing here.
    const Name* find(std::string_view name) const {
        const auto found = names_.find(name);
        return found == names_.end() || found->second.kind == Name::Kind::none ? nullptr : &found->second;
    }

    // Null when the name is free in the innermost scope and now declared; else who has it.
    const Name* declare(std::string_view name, Name::Kind kind, int index, int line, int width = 1);
    // How often the name was declared so far, in any scope.
    int num_declared(std::string_view name) const;

    void open() { marks_.push_back(hidden_.size()); }
    void close();
    int depth() const { return static_cast<int>(marks_.size()); }

private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
    };
    // The nodes of this map do not move: `hidden_` points to them.
    std::unordered_map<std::string, Name, Hash, std::equal_to<>> names_;
    std::vector<std::pair<Name*, Name>> hidden_;  // what each declaration hides
    std::vector<std::size_t> marks_;              // where each open scope begins in `hidden_`
};

}  // namespace warpwright::emulator
