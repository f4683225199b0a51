// SPDX-License-Identifier: Apache-2.0
// ld and ldu: PTX ISA 9.7.9.8 to 9.7.9.10.
#include <cstring>
#include <type_traits>

#include "emulator/execute/simd.h"
#include "emulator/memory/access.h"
#include "emulator/memory/binders.h"

namespace warpwright::emulator {
namespace {

struct AccessHandlers {
    Handler of[5][4];
};

#define WW_SIMD_FILE "emulator/memory/load.inl"
#include "emulator/execute/each_simd_level.inl"

const AccessHandlers& handlers() {
    switch (simd_level()) {
        case SimdLevel::avx512: return avx512::kHandlers;
        case SimdLevel::avx2: return avx2::kHandlers;
        case SimdLevel::baseline: break;
    }
    return baseline::kHandlers;
}

}  // namespace

Status bind_load(Binding& b) {
    const Operand& address = b.operand(1);
    const std::optional<Space> space = take_space(b, address);
    WW_ASSIGN(const Shape shape, take_shape(b));
    const bool is_strong = take_strength(b, "acquire");
    // Loads past the first-level cache read what is there, as all do here. .cv fetches again: a spinning
    // kernel may count on it.
    const bool is_fetched = b.take("cv");
    b.take_one_of({"ca", "cg", "cs", "lu", "nc"});
    take_cache_hints(b);

    const Operand& to = b.operand(0);
    check_elements(b, to, 0, b.dests(to, shape.type), shape);
    bool is_narrow = false;
    b.address(address, &is_narrow);
    take_cache_policy(b, 2);
    set_access(b, space.value_or(Space::generic), is_narrow, is_strong || is_fetched);
    b.instruction().flag[kFlagSigned] = facts_of(shape.type).is_signed;
    b.handler(handlers().of[shape.element][shape.count]);
    return {};
}

}  // namespace warpwright::emulator
