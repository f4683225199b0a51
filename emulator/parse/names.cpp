// SPDX-License-Identifier: Apache-2.0
#include "emulator/parse/names.h"

namespace warpwright::emulator {

const Name* Names::declare(std::string_view name, Name::Kind kind, int index, int line, int width) {
    auto found = names_.find(name);
    if (found == names_.end()) found = names_.try_emplace(std::string(name)).first;
    Name& entry = found->second;
    if (entry.kind != Name::Kind::none && entry.depth == depth()) return &entry;
    if (depth() > 0) hidden_.emplace_back(&entry, entry);
    ++entry.declared;
    entry.kind = kind;
    entry.width = static_cast<u8>(width);
    entry.depth = static_cast<u16>(depth());
    entry.index = index;
    entry.line = line;
    return nullptr;
}

int Names::num_declared(std::string_view name) const {
    const auto found = names_.find(name);
    return found == names_.end() ? 0 : found->second.declared;
}

void Names::close() {
    for (; hidden_.size() > marks_.back(); hidden_.pop_back()) {
        auto& [entry, before] = hidden_.back();
        const int declared = entry->declared;  // outlives the scope, so that names stay unique
        *entry = before;
        entry->declared = declared;
    }
    marks_.pop_back();
}

}  // namespace warpwright::emulator
