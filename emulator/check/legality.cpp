// SPDX-License-Identifier: Apache-2.0
#include "emulator/check/legality.h"

#include <fmt/format.h>

#include "emulator/check/finding.h"
#include "isa/table.h"

namespace warpwright::emulator {

std::string canonical_form(const Statement& statement) {
    constexpr std::size_t kThreeInputs = 4;
    const bool is_wide =
        (statement.opcode == "min" || statement.opcode == "max") && statement.operands.size() == kThreeInputs;
    std::string mnemonic = statement.opcode;
    for (const std::string& modifier : statement.modifiers) mnemonic.append(".").append(modifier);
    return isa::form_name(mnemonic, is_wide);
}

Result<Legality> Legality::of(const Module& module, int compute_capability) {
    const std::string name = module.target.substr(0, module.target.find(','));
    const auto& all = isa::architectures();
    const int index = isa::index_of(name);
    if (index < 0) {
        return caller_error(fmt::format("not covered yet: PTX for {}; known are {} to {}", name,
                                        all.front().name, all.back().name));
    }
    const isa::Architecture& architecture = all[static_cast<std::size_t>(index)];
    if (!isa::runs_on(architecture, compute_capability)) {
        const char* where = architecture.suffix == 'a'   ? "runs on that GPU alone"
                            : architecture.suffix == 'f' ? "runs on its family alone"
                                                         : "runs on later GPUs";
        return caller_error(fmt::format("PTX for {} {}, not on compute capability {}", name, where,
                                        isa::version_text(compute_capability)));
    }
    Legality legality;
    legality.target_ = name;
    legality.architecture_ = index;
    legality.version_ = 10 * module.version_major + module.version_minor;
    if (legality.version_ < architecture.version) {
        return caller_error(fmt::format("{} needs PTX {}, the text says {}", name,
                                        isa::version_text(architecture.version),
                                        isa::version_text(legality.version_)));
    }
    return legality;
}

Status Legality::check(const Statement& statement) const {
    const char* const illegal = finding_name(FindingKind::illegal_instruction);
    const auto check_form = [&](const std::string& name, const char* what) -> Status {
        const isa::Form* const form = isa::find_form(name);
        const isa::Mask targets = form != nullptr ? form->targets : isa::targets_by_rule(name);
        const int version = form != nullptr ? form->version : 0;
        if ((targets >> architecture_ & 1u) == 0) {
            return caller_error(fmt::format(
                "{}{} on {}: needs {}", what, illegal, target_,
                isa::targets_text(targets, "a newer assembler: ptxas 13.0 has it for no target")));
        }
        if (version_ < version) {
            return caller_error(fmt::format("{}{} in PTX {}: needs PTX {}", what, illegal,
                                            isa::version_text(version_), isa::version_text(version)));
        }
        return {};
    };
    for (const Operand& operand : statement.operands) {
        if (operand.kind != Operand::Kind::special) continue;
        WW_TRY(check_form(operand.symbol, (operand.symbol + ": ").c_str()));
    }
    return check_form(canonical_form(statement), "");
}

}  // namespace warpwright::emulator
