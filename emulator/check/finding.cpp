// SPDX-License-Identifier: Apache-2.0
#include "emulator/check/finding.h"

#include <fmt/format.h>

namespace warpwright::emulator {

const char* finding_name(FindingKind kind) {
    switch (kind) {
        case FindingKind::out_of_bounds: return "out of bounds";
        case FindingKind::use_after_free: return "use after free";
        case FindingKind::foreign_address: return "foreign address";
        case FindingKind::misaligned: return "misaligned";
        case FindingKind::uninitialized: return "uninitialized";
        case FindingKind::async_not_waited: return "asynchronous copy not waited for";
        case FindingKind::grid_not_waited: return "grid before not waited for";
        case FindingKind::read_only_written: return "read-only memory written";
        case FindingKind::divergent_barrier: return "divergent barrier";
        case FindingKind::non_convergent: return "lanes not converged";
        case FindingKind::deadlock: return "deadlock";
        case FindingKind::division_by_zero: return "division by zero";
        case FindingKind::over_limit: return "over the target's limit";
        case FindingKind::illegal_instruction: return "illegal instruction";
        case FindingKind::assertion: return "assertion failed";
        case FindingKind::trap: return "trap";
        case FindingKind::bad_operand: return "bad operand";
    }
    return "?";
}

std::string finding_text(const Finding& finding) {
    std::string text = fmt::format("{}: {}", finding.kernel, finding_name(finding.kind));
    if (finding.ptx_line > 0) text += fmt::format(" at line {} ({})", finding.ptx_line, finding.instruction);
    if (!finding.source.empty()) text += fmt::format(" of {}", finding.source);
    if (finding.warp >= 0) {
        text += fmt::format(", block {},{},{} warp {}", finding.block[0], finding.block[1], finding.block[2],
                            finding.warp);
        if (finding.lane >= 0) text += fmt::format(" lane {}", finding.lane);
    }
    if (finding.address != 0) text += fmt::format(", address {:#x}", finding.address);
    return text + ": " + finding.text;
}

}  // namespace warpwright::emulator
