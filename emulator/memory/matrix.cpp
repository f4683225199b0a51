// SPDX-License-Identifier: Apache-2.0
// ldmatrix, stmatrix, movmatrix: PTX ISA 9.7.14.5.15 to 9.7.14.5.17. Handlers are in
// matrix.inl and matrix_bytes.inl.
#include <cstring>

#include <fmt/format.h>
#include "emulator/execute/simd.h"
#include "emulator/memory/access.h"
#include "emulator/memory/binders.h"

namespace warpwright::emulator {
namespace {

struct MatrixHandlers {
    Handler load[3], load_transposed[3];
    Handler store[3], store_transposed[3];
    Handler move;
};
struct ByteMatrixHandlers {
    Handler load_fields4[3], load_fields6[3];
    Handler load_bytes[2], load_bytes_fields4[2], load_bytes_fields6[2];
    Handler store_bytes[3];
};

Flow wait_for_whole_warp(Warp& warp, const Instruction& instruction, u32 active) {
    if (!warp.is_converged(instruction, kAllLanes, active)) return Flow::wait;
    const u32 never = ~warp.existing();
    return warp.report(
        FindingKind::non_convergent, instruction, active, 0,
        fmt::format("expected all 32 lanes of the warp, but {} exited and {} were never launched",
                    std::popcount(warp.exited()), std::popcount(never)));
}

// Only generic addresses can be elsewhere.
Flow report_not_shared(Warp& warp, const Instruction& instruction, u32 lanes, int address_operand) {
    const Addresses addresses = addresses_of(warp, instruction, address_operand);
    for (u32 rest = lanes; rest != 0; rest &= rest - 1) {
        const int lane = first_lane(rest);
        const u64 address = addresses[lane];
        if (address - kSharedWindow < kSharedWindowBytes) continue;
        return warp.report(FindingKind::out_of_bounds, instruction, 1u << lane, address,
                           fmt::format("expected an address of shared memory, got {}",
                                       place_of(warp, Space::generic, address)));
    }
    return Flow::next;
}

#define WW_SIMD_FILE "emulator/memory/matrix.inl"
#include "emulator/execute/each_simd_level.inl"

namespace bytes {
#include "emulator/memory/matrix_bytes.inl"
}  // namespace bytes

const MatrixHandlers& handlers() {
    switch (simd_level()) {
        case SimdLevel::avx512: return avx512::kHandlers;
        case SimdLevel::avx2: return avx2::kHandlers;
        case SimdLevel::baseline: break;
    }
    return baseline::kHandlers;
}

void take_sync_aligned(Binding& b) {
    const bool is_sync = b.take("sync"), is_aligned = b.take("aligned");
    if (!is_sync || !is_aligned) b.error("expected .sync.aligned");
}

// log2 of how many matrices.
int take_count(Binding& b) {
    const std::string_view count = b.take_one_of({"x1", "x2", "x4"});
    if (count.empty()) b.error("expected .x1, .x2 or .x4");
    return count == "x4" ? 2 : count == "x2" ? 1 : 0;
}

// The address, in shared memory or generic.
void bind_address(Binding& b, const Operand& address) {
    const std::optional<Space> space = take_space(b, address);
    bool is_narrow = false;
    b.address(address, &is_narrow);
    if (space && *space != Space::shared && *space != Space::generic) b.error("expected state space .shared");
    b.instruction().detail[0] = static_cast<i32>(space.value_or(Space::generic));
    b.instruction().flag[kFlagNarrow] = is_narrow;
}

void check_registers(Binding& b, int found, int expected) {
    if (found != expected) b.error(fmt::format("expected {} registers, got {}", expected, found));
}

Status bind_load(Binding& b) {
    take_sync_aligned(b);
    const std::string_view shape = b.take_one_of({"m8n8", "m8n16", "m16n16"});
    const int count = take_count(b);
    const bool is_transposed = b.take("trans");
    const bool is_bytes = b.take("b8x16");
    const std::string_view fields = is_bytes ? b.take_one_of({"b4x16_p64", "b6x16_p32"}) : "";

    Handler handler = nullptr;
    int registers = 1 << count;
    if (shape == "m8n8" && b.take("b16")) {
        handler = (is_transposed ? handlers().load_transposed : handlers().load)[count];
    } else if (shape == "m8n16" && !fields.empty() && !is_transposed) {
        handler = (fields[1] == '4' ? bytes::kHandlers.load_fields4 : bytes::kHandlers.load_fields6)[count];
    } else if (shape == "m16n16" && is_transposed && count < 2) {
        registers *= 2;
        if (fields.empty() && !is_bytes && b.take("b8")) handler = bytes::kHandlers.load_bytes[count];
        if (!fields.empty())
            handler = (fields[1] == '4' ? bytes::kHandlers.load_bytes_fields4
                                        : bytes::kHandlers.load_bytes_fields6)[count];
    }
    if (handler == nullptr) return caller_error("not covered yet: this shape with these types");
    check_registers(b, b.dests(b.operand(0), Type::b32), registers);
    bind_address(b, b.operand(1));
    b.handler(handler);
    return {};
}

Status bind_store(Binding& b) {
    take_sync_aligned(b);
    const std::string_view shape = b.take_one_of({"m8n8", "m16n8"});
    const int count = take_count(b);
    const bool is_transposed = b.take("trans");
    Handler handler = nullptr;
    if (shape == "m8n8" && b.take("b16"))
        handler = (is_transposed ? handlers().store_transposed : handlers().store)[count];
    else if (shape == "m16n8" && is_transposed && b.take("b8"))
        handler = bytes::kHandlers.store_bytes[count];
    if (handler == nullptr) return caller_error("not covered yet: this shape with these types");
    bind_address(b, b.operand(0));
    check_registers(b, b.sources(b.operand(1), Type::b32), 1 << count);
    b.handler(handler);
    return {};
}

Status bind_move(Binding& b) {
    take_sync_aligned(b);
    if (!b.take("m8n8") || !b.take("trans") || !b.take("b16")) b.error("expected .m8n8.trans.b16");
    b.dest(0, Type::b32);
    b.source(1, Type::b32);
    b.handler(handlers().move);
    return {};
}

const Opcode kOpcodes[] = {
    {"ldmatrix", bind_load, "9.7.14.5.15",
     ".m8n8{.trans}.b16 x1 x2 x4; .m8n16.b8x16.{b4x16_p64 b6x16_p32} x1 x2 x4; .m16n16.trans.{b8 "
     "b8x16.b4x16_p64 b8x16.b6x16_p32} x1 x2"},
    {"stmatrix", bind_store, "9.7.14.5.16", ".m8n8{.trans}.b16 x1 x2 x4; .m16n8.trans.b8 x1 x2 x4"},
    {"movmatrix", bind_move, "9.7.14.5.17", ".m8n8.trans.b16"},
};

}  // namespace

std::span<const Opcode> matrix_opcodes() {
    return kOpcodes;
}

}  // namespace warpwright::emulator
