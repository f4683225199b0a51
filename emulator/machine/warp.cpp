// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/warp.h"

#include <bit>
#include <functional>

#include "emulator/machine/grid.h"
#include "emulator/machine/text.h"

namespace warpwright::emulator {

Flow Warp::report(FindingKind kind, const Instruction& instruction, u32 lanes, u64 address,
                  std::string text) {
    const Program& program = *grid().program;
    Finding finding;
    finding.kind = kind;
    finding.kernel = program.name;
    locate(finding, program, instruction);
    for (int i = 0; i < 3; ++i) finding.block[i] = block().index[i];
    finding.warp = index();
    finding.lanes = lanes;
    finding.lane = lanes == 0 ? -1 : std::countr_zero(lanes);
    finding.address = address;
    finding.text = std::move(text);
    grid().record(std::move(finding));
    return Flow::fault;
}

i32 Warp::pc_of(const Instruction& instruction) const {
    return static_cast<i32>(&instruction - block_->grid().program->code.data());
}

u64 Warp::clock(const Instruction& instruction) {
    ++num_clock_reads_;
    const std::vector<Instruction>& code = block_->grid().program->code;
    const std::less<const Instruction*> before;
    if (code.empty() || before(&instruction, code.data()) || !before(&instruction, code.data() + code.size()))
        return num_instructions;  // a bare warp's
    return num_instructions + static_cast<u64>(&instruction - code.data() - segment_start_);
}

}  // namespace warpwright::emulator
