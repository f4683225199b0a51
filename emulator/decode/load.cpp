// SPDX-License-Identifier: Apache-2.0
#include "emulator/decode/load.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "emulator/check/legality.h"
#include "emulator/decode/slots.h"
#include "emulator/decode/statement_binding.h"

namespace warpwright::emulator {
namespace {

u32 product(const Threads& threads) {
    const u64 all = u64{threads.x} * std::max(threads.y, 1u);
    return static_cast<u32>(
        std::min<u64>(std::min<u64>(all, 0xffff'ffffu) * std::max(threads.z, 1u), 0xffff'ffffu));
}

Result<const Function*> entry_named(const Module& module, std::string_view name) {
    const Function* found = nullptr;
    std::string names;
    for (const Function& function : module.functions) {
        if (!function.is_entry || function.is_declaration) continue;
        names += " " + function.name;
        if (name.empty() && found != nullptr)
            return caller_error("expected the name of an entry, one of" + names);
        if (name.empty() || function.name == name) found = &function;
    }
    if (found != nullptr) return found;
    if (names.empty()) return caller_error("the PTX has no entry");
    return caller_error(fmt::format("the PTX has no entry {}, but{}", name, names));
}

bool has_modifier(const Statement& statement, std::string_view modifier) {
    return std::find(statement.modifiers.begin(), statement.modifiers.end(), modifier) !=
           statement.modifiers.end();
}

// Verdicts by the statement's text without its operands: a kernel has some hundred different ones.
class CachedLegality {
public:
    explicit CachedLegality(const Legality& legality) : legality_(legality) {}
    const Status& check(const Statement& statement, const std::string& name) {
        std::string key = name;
        for (const Operand& operand : statement.operands) {
            key += operand.kind == Operand::Kind::special ? operand.symbol : ",";
        }
        const auto [found, is_new] = verdicts_.try_emplace(std::move(key));
        if (is_new) found->second = legality_.check(statement);
        return found->second;
    }

private:
    const Legality& legality_;
    std::unordered_map<std::string, Status> verdicts_;
};

// All statements are bound even after an error, so that the message tells how much is missing.
Result<BoundCode> bind_all(const Function& entry, const DecodeTarget& target, const Legality& legality,
                           const Placement& placement, Program& program) {
    StatementBinding binding(entry, target, placement);
    CachedLegality verdicts(legality);
    Status first;
    int num_errors = 0;
    const auto bind = [&](const Statement& statement) {
        const std::string name = statement_name(statement);
        const Status& verdict = verdicts.check(statement, name);
        const Status status =
            verdict.ok() ? binding.bind(statement, opcodes_named(statement.opcode)) : verdict;
        if (!status.ok() && num_errors++ == 0) {
            first = caller_error(fmt::format("line {}: {}: {}", statement.line, name, status.message()));
        }
        program.statements.push_back({name, statement.line, statement.source_file, statement.source_line});
        if (statement.opcode == "griddepcontrol" && has_modifier(statement, "wait"))
            program.has_griddep_wait = true;
    };
    for (const Statement& statement : entry.statements) bind(statement);
    // What runs off the end of a body returns: no program counter is ever behind the code.
    Statement ret;
    ret.opcode = "ret";
    ret.line = entry.statements.empty() ? entry.line : entry.statements.back().line;
    bind(ret);
    if (num_errors == 1) return first;
    if (num_errors > 1) {
        return caller_error(fmt::format("{}; and {} more statements", first.message(), num_errors - 1));
    }
    program.num_predicates = binding.num_predicates();
    return binding.finish();
}

}  // namespace

Result<LoadedProgram> load_program(std::string_view ptx, std::string_view entry_name,
                                   const DecodeTarget& target, GlobalMemory& memory) {
    WW_ASSIGN(const Module module, parse(ptx));
    return load_program(module, entry_name, target, memory);
}

Result<LoadedProgram> load_program(const Module& module, std::string_view entry_name,
                                   const DecodeTarget& target, GlobalMemory& memory) {
    WW_ASSIGN(const Function* entry, entry_named(module, entry_name));
    if (entry->is_explicit_cluster || entry->max_cluster_rank > 1 || product(entry->required_cluster) > 1) {
        return caller_error(
            fmt::format("line {}: {}: clusters are not covered yet", entry->line, entry->name));
    }
    LoadedProgram loaded;
    Program& program = loaded.program;
    program.name = entry->name;
    program.target = module.target;
    program.files = module.files;
    program.max_threads = product(entry->max_threads);
    program.required_threads = product(entry->required_threads);
    WW_ASSIGN(const Legality legality, Legality::of(module, target.compute_capability));
    WW_ASSIGN(Placement placement, Placement::make(module, *entry, memory, program));
    WW_ASSIGN(BoundCode code, bind_all(*entry, target, legality, placement, program));
    WW_TRY(assign_slots(code, program));
    loaded.globals = placement.take_globals();
    return loaded;
}

}  // namespace warpwright::emulator
