// SPDX-License-Identifier: Apache-2.0
// One instruction of PTX on one bare warp, for tests of its handler: registers are read and written by the
// position of their operand.
//
//     OneInstruction load("ld.global.u32 %r0, [%d0+4];", {.memory = &memory});
//     load.lanes<u64>(1)[l] = address;
//     EXPECT_EQ(load.run(), Flow::next);
//     EXPECT_EQ(load.lanes<u32>(0)[l], 7u);
//
// Registers: %h (b16), %r (b32), %d (b64), %q (b128), %p (predicates), 0 to 19 of each.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include "emulator/decode/load.h"
#include "emulator/execute/simd.h"
#include "emulator/machine/bare_warp.h"

namespace warpwright::emulator {

// body(), with the handlers of every SIMD level that this CPU has.
template <class Body>
void at_every_simd_level(Body body) {
    const SimdLevel before = simd_level();
    for (const SimdLevel level : {SimdLevel::baseline, SimdLevel::avx2, SimdLevel::avx512}) {
        set_simd_level(level);
        if (simd_level() != level) continue;
        SCOPED_TRACE(simd_name(level));
        body();
        if (testing::Test::HasFatalFailure()) break;
    }
    set_simd_level(before);
}

class OneInstruction {
public:
    struct Setup {
        GlobalMemory* memory = nullptr;
        CheckLevel level = CheckLevel::all;
        u32 shared_bytes = 0, local_bytes = 0, param_bytes = 0;
        u32 threads = 32;
        std::string_view target = "h100-sxm";
        std::string_view ptx_target = "sm_90a";
        // Declarations of the entry, before shared_bytes and local_bytes; and statements that are not run but
        // mention them: what nobody mentions takes no memory.
        std::string_view variables = "", mentions = "";
    };
    OneInstruction(std::string_view text, const Setup& setup) {
        const std::string params =
            setup.param_bytes > 0 ? fmt::format(".param .align 16 .b8 in[{}]", setup.param_bytes) : "";
        const std::string ptx = fmt::format(
            ".version 9.0\n.target {}\n.address_size 64\n.visible .entry kernel({}) {{\n{}\n.reg .b16 %h<20>;"
            ".reg .b32 %r<20>; .reg .b64 %d<20>; .reg .b128 %q<20>; .reg .pred %p<20>;\n{}\n{}\nret;\n}}\n",
            setup.ptx_target, params, setup.variables, text, setup.mentions);
        auto target = find_target(setup.target);
        DecodeTarget decode_target;
        if (target.ok()) decode_target.compute_capability = target->facts.compute_capability;
        decode_target.numerics = numerics_of(decode_target.compute_capability);
        auto loaded = load_program(ptx, "", decode_target, setup.memory != nullptr ? *setup.memory : none_);
        if (!loaded.ok()) {
            error_ = loaded.status().message();
            return;
        }
        program_ = std::move(loaded->program);

        BareWarp::Options options;
        options.num_slots = program_.num_slots;
        options.num_predicates = std::max(program_.num_predicates, 1);
        options.shared_bytes = program_.static_shared_bytes + setup.shared_bytes;
        options.local_bytes = program_.local_bytes + setup.local_bytes;
        options.param_bytes = setup.param_bytes;
        options.memory = setup.memory;
        options.level = setup.level;
        options.threads = setup.threads;
        options.target = setup.target;
        bare_.emplace(options);
        bare_->grid().program = &program_;
        if (!program_.constants.empty())
            std::memcpy(warp().lanes<u32>(0), program_.constants.data(), program_.constants.size() * 4);
    }
    OneInstruction(const OneInstruction&) = delete;
    OneInstruction& operator=(const OneInstruction&) = delete;

    // Empty when it loaded.
    const std::string& load_error() const { return error_; }
    const Instruction& instruction() const { return program_.code[0]; }
    Warp& warp() { return bare_->warp(); }
    SharedMemory& shared() { return bare_->block().shared; }
    std::vector<std::byte>& params() { return bare_->grid().params; }

    template <class T>
    T* lanes(int operand) {
        return warp().lanes<T>(instruction().slot[operand]);
    }
    u32& predicate(int operand) { return warp().predicate(instruction().predicate[operand]); }
    Flow run(u32 active = kAllLanes) {
        if (!error_.empty()) {
            ADD_FAILURE() << error_;
            return Flow::fault;
        }
        return instruction().handler(warp(), instruction(), active);
    }
    // What run() is expected to find; a failure when it finds nothing.
    Finding find(u32 active = kAllLanes) {
        if (run(active) != Flow::fault || !bare_->finding()) {
            ADD_FAILURE() << "no finding";
            return {};
        }
        return *bare_->finding();
    }

private:
    GlobalMemory none_{1, 0};
    std::string error_;
    Program program_;
    std::optional<BareWarp> bare_;
};

}  // namespace warpwright::emulator
