// SPDX-License-Identifier: Apache-2.0
#include "emulator/decode/constants.h"

#include <bit>
#include <cmath>

#include <limits>

#include <fmt/format.h>

namespace warpwright::emulator {
namespace {

// To the nearest float. C++ leaves open what a double beyond all floats becomes: it is infinity here, as in
// IEEE 754 and in ptxas, and the limit is halfway from the largest float to the next power of two.
float round_to_float(double value) {
    constexpr double kLimit = 0x1.ffffffp127;
    if (value >= kLimit) return std::numeric_limits<float>::infinity();
    if (value <= -kLimit) return -std::numeric_limits<float>::infinity();
    return static_cast<float>(value);
}

}  // namespace

int ConstantPool::slot_of(u64 value, int width) {
    auto& known = width == 1 ? narrow_ : width == 2 ? wide_ : widest_;
    const auto [found, is_new] = known.emplace(value, num_slots());
    if (is_new) slots_.insert(slots_.end(), static_cast<std::size_t>(width), {value, width});
    return found->second;
}

std::vector<u32> ConstantPool::lanes() const {
    constexpr int kLanes = 32;
    std::vector<u32> lanes;
    lanes.reserve(slots_.size() * kLanes);
    for (const Slot& slot : slots_) {
        // A lane's value of w slots is w words in a row; every slot holds whole values.
        for (int i = 0; i < kLanes; ++i) {
            const int word = i % slot.width;
            lanes.push_back(word == 0   ? static_cast<u32>(slot.value)
                            : word == 1 ? static_cast<u32>(slot.value >> 32)
                                        : 0);
        }
    }
    return lanes;
}

Result<u64> encode_literal(const Operand& literal, Type type) {
    const TypeFacts& facts = facts_of(type);
    const auto wrong = [&](const char* got) {
        return caller_error(fmt::format("expected an operand of type {}, got {}", facts.name, got));
    };
    switch (literal.kind) {
        case Operand::Kind::integer: {
            if (facts.is_float) return wrong("an integer literal");
            if (facts.bits > 64 && literal.integer >> 63 != 0) return wrong("a literal of 64 bits");
            return facts.bits >= 64 ? literal.integer : literal.integer & ((u64{1} << facts.bits) - 1);
        }
        case Operand::Kind::real: {
            if (type == Type::f64 || type == Type::b64) return std::bit_cast<u64>(literal.real);
            if (type == Type::f32) return u64{std::bit_cast<u32>(round_to_float(literal.real))};
            return wrong("a literal of type f64");
        }
        case Operand::Kind::real32: {
            const auto bits = static_cast<u32>(literal.integer);
            if (type == Type::f32 || type == Type::b32) return u64{bits};
            return wrong("a literal of type f32");
        }
        default: return wrong("something that is no literal");
    }
}

}  // namespace warpwright::emulator
