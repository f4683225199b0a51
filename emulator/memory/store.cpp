// SPDX-License-Identifier: Apache-2.0
// st: PTX ISA 9.7.9.11.
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

#define WW_SIMD_FILE "emulator/memory/store.inl"
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

Status bind_store(Binding& b) {
    const Operand& address = b.operand(0);
    const std::optional<Space> space = take_space(b, address);
    WW_ASSIGN(const Shape shape, take_shape(b));
    const bool is_strong = take_strength(b, "release");
    b.take_one_of({"wb", "cg", "cs", "wt"});
    take_cache_hints(b);

    bool is_narrow = false;
    b.address(address, &is_narrow);
    const Operand& from = b.operand(1);
    check_elements(b, from, 1, b.sources(from, shape.type), shape);
    take_cache_policy(b, 2);
    set_access(b, space.value_or(Space::generic), is_narrow, is_strong);
    b.handler(handlers().of[shape.element][shape.count]);
    return {};
}

}  // namespace warpwright::emulator
