// SPDX-License-Identifier: Apache-2.0
// Control flow: PTX ISA 9.7.12, and the instructions that end, delay or order a grid.
#include "emulator/machine/control.h"
#include <fmt/format.h>
#include "emulator/machine/grid.h"
#include "emulator/machine/text.h"

namespace warpwright::emulator {
namespace {

Flow run_nothing(Warp&, const Instruction&, u32) {
    return Flow::next;
}

Flow run_branch(Warp&, const Instruction&, u32) {
    return Flow::branch;
}

// bra.uni under a guard promises that the guard is alike in all lanes that get there.
Flow run_uniform_branch(Warp& warp, const Instruction& instruction, u32 active) {
    const u32 lanes = warp.running_group().lanes;
    if (active == lanes || warp.level() == CheckLevel::off) return Flow::branch;
    return warp.report(FindingKind::non_convergent, instruction, lanes & ~active, 0,
                       fmt::format("a branch that promises to be uniform is taken by {} and not by {}",
                                   lanes_text(active), lanes_text(lanes & ~active)));
}

Flow run_exit(Warp&, const Instruction&, u32) {
    return Flow::exit;
}

Flow run_trap(Warp& warp, const Instruction& instruction, u32 active) {
    return warp.report(FindingKind::trap, instruction, active, 0, "the kernel gave up here");
}

Flow run_yield(Warp&, const Instruction&, u32) {
    return Flow::yield;
}

Status bind_bra(Binding& b) {
    const bool is_uniform = b.take("uni") && b.statement().guard.reg >= 0;
    b.instruction().target = b.target_of(b.operand(0));
    b.handler(is_uniform ? run_uniform_branch : run_branch);
    return {};
}

Status bind_ret(Binding& b) {
    b.take("uni");
    b.handler(run_exit);
    return {};
}

Status bind_exit(Binding& b) {
    b.handler(run_exit);
    return {};
}

Status bind_trap(Binding& b) {
    b.handler(run_trap);
    return {};
}

// The time is a hint: others run, and then this warp goes on.
Status bind_nanosleep(Binding& b) {
    WW_ASSIGN(const Type type, b.type());
    if (type != Type::u32) b.error("expected .u32");
    b.source(0, Type::u32);
    b.handler(run_yield);
    return {};
}

// Grids run one after the other: what a grid waits for is complete when it starts. That it did wait is noted.
Flow run_grid_wait(Warp& warp, const Instruction&, u32 active) {
    warp.unordered &= ~active;
    return Flow::next;
}

Status bind_griddepcontrol(Binding& b) {
    const std::string_view kind = b.take_one_of({"wait", "launch_dependents"});
    if (kind.empty()) b.error("expected .wait or .launch_dependents");
    b.handler(kind == "wait" ? run_grid_wait : run_nothing);
    return {};
}

constexpr Opcode kOpcodes[] = {
    {"bra", bind_bra, "9.7.12.2", "{.uni}"},
    {"ret", bind_ret, "9.7.12.5", "{.uni}; of an entry"},
    {"exit", bind_exit, "9.7.12.6", ""},
    {"trap", bind_trap, "9.7.19.4", ""},
    {"brkpt", bind_trap, "9.7.19.1", "a finding, as trap is"},
    {"nanosleep", bind_nanosleep, "9.7.19.2", ".u32"},
    {"griddepcontrol", bind_griddepcontrol, "9.7.13.13", ".wait .launch_dependents"},
};

}  // namespace

std::span<const Opcode> control_opcodes() {
    static const std::vector<Opcode> all = [] {
        std::vector<Opcode> list(std::begin(kOpcodes), std::end(kOpcodes));
        for (const auto part : {cluster_opcodes(), barrier_opcodes(), call_opcodes()})
            list.insert(list.end(), part.begin(), part.end());
        return list;
    }();
    return all;
}

}  // namespace warpwright::emulator
