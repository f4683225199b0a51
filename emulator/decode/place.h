// SPDX-License-Identifier: Apache-2.0
// Where the variables of an entry lie: each state space is laid out once, when the program is loaded.
#pragma once

#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "emulator/decode/program.h"
#include "emulator/memory/global.h"
#include "emulator/parse/module.h"

namespace warpwright::emulator {

// Symbols to places. Variables of the module that the entry does not mention take no memory, as with ptxas.
class Placement {
public:
    // Fills the layout fields of `program` and allocates .global variables in `memory`. `module` and `entry`
    // must outlive the placement.
    static Result<Placement> make(const Module& module, const Function& entry, GlobalMemory& memory,
                                  Program& program);
    Placement(Placement&& other) noexcept = default;
    Placement& operator=(Placement&&) = delete;
    ~Placement();  // releases the .global variables, unless they were taken

    // Null for a name that is no variable.
    const Placed* find(std::string_view symbol) const;
    std::vector<u64> take_globals();

private:
    explicit Placement(GlobalMemory& memory) : memory_(&memory) {}
    Status place(std::span<const Variable* const> used, const Function& entry, Program& program);
    Status place_params(const Function& entry, Program& program);
    Status place_shared(std::span<const Variable* const> used, Program& program);
    Status place_local(std::span<const Variable* const> used, Program& program);
    Status place_constant(std::span<const Variable* const> used, Program& program);
    Status place_global(std::span<const Variable* const> used);
    Status fill(const Variable& variable, Program& program);
    Result<u64> address_in(const Relocation& relocation, const Variable& variable) const;
    void add(const Variable& variable, Space space, u64 address, u64 bytes);

    GlobalMemory* memory_;
    std::vector<Placed> placed_;
    std::unordered_map<std::string_view, std::size_t> index_;  // names live in the module
    std::vector<u64> globals_;
};

}  // namespace warpwright::emulator
