// SPDX-License-Identifier: Apache-2.0
// mma.sync, PTX ISA 9.7.14.5: dense products of one warp.
#include "emulator/execute/mma.h"

#include <cstring>
#include <optional>
#include <string>
#include <type_traits>

#include "emulator/execute/simd.h"
#include "emulator/machine/warp.h"

namespace warpwright::emulator {
namespace {

using mma::FloatProduct;
using mma::Format;
using mma::Fragments;
using mma::IntegerProduct;

// --- handlers ---

// Products are kept in Instruction::detail; registers are in the order d, a, b, c.
template <class Product>
void keep(const Product& product, Instruction& instruction) {
    static_assert(sizeof product <= sizeof instruction.detail && std::is_trivially_copyable_v<Product>);
    std::memcpy(instruction.detail, &product, sizeof product);
}

template <class Product>
Product kept(const Instruction& instruction) {
    Product product;
    std::memcpy(&product, instruction.detail, sizeof product);
    return product;
}

struct RegisterCounts {
    int a, b, c;  // d has as many as c
};
RegisterCounts counts(const FloatProduct& product) {
    const int bits = mma::facts_of(product.a).container_bits * product.k;
    return {2 * bits / 128, bits / 128, product.is_f16() ? 2 : 4};
}
RegisterCounts counts(const IntegerProduct& product) {
    const int bits = product.bits * product.k;
    return {product.rows / 8 * bits / 128, bits / 128, product.rows / 4};
}

template <class Product>
Fragments fragments_of(Warp& warp, const Instruction& instruction, const Product& product) {
    const RegisterCounts num = counts(product);
    const u16* slot = instruction.slot;
    Fragments fragments;
    for (int i = 0; i < num.c; ++i) fragments.d[i] = warp.lanes<u32>(*slot++);
    for (int i = 0; i < num.a; ++i) fragments.a[i] = warp.lanes<u32>(*slot++);
    for (int i = 0; i < num.b; ++i) fragments.b[i] = warp.lanes<u32>(*slot++);
    for (int i = 0; i < num.c; ++i) fragments.c[i] = warp.lanes<u32>(*slot++);
    return fragments;
}

template <SimdLevel kLevel, class Product>
void multiply(const Product& product, const Fragments& fragments) {
    if constexpr (std::is_same_v<Product, FloatProduct>)
        mma::multipliers(kLevel).multiply_floats(product, fragments);
    else
        mma::multipliers(kLevel).multiply_integers(product, fragments);
}

template <SimdLevel kLevel, class Product>
Flow multiply_handler(Warp& warp, const Instruction& instruction, u32 active) {
    const Product product = kept<Product>(instruction);
    Fragments fragments = fragments_of(warp, instruction, product);
    if (active == kAllLanes) {
        multiply<kLevel>(product, fragments);
        return Flow::next;
    }
    if (!warp.is_converged(instruction, kAllLanes, active)) return Flow::wait;
    if (warp.level() != CheckLevel::off) {
        return warp.report(FindingKind::non_convergent, instruction, ~active, 0,
                           "all 32 lanes of the warp must execute it; these have exited, or never existed");
    }
    alignas(64) u32 result[4][kLanes];
    u32* d[4];
    for (int i = 0; i < 4; ++i) {
        d[i] = fragments.d[i];
        fragments.d[i] = result[i];
    }
    multiply<kLevel>(product, fragments);
    for (int i = 0; i < counts(product).c; ++i) {
        for (int l = 0; l < kLanes; ++l) {
            if (active >> l & 1u) d[i][l] = result[i][l];
        }
    }
    return Flow::next;
}

template <class Product>
Handler handler_of() {
    switch (simd_level()) {
        case SimdLevel::baseline: return multiply_handler<SimdLevel::baseline, Product>;
        case SimdLevel::avx2: return multiply_handler<SimdLevel::avx2, Product>;
        case SimdLevel::avx512: return multiply_handler<SimdLevel::avx512, Product>;
    }
    return nullptr;
}

// --- binders ---

struct Shape {
    int rows = 0, k = 0;  // n is 8
};

Shape take_shape(Binding& binding) {
    static constexpr struct {
        std::string_view name;
        Shape shape;
    } kShapes[] = {
        {"m16n8k4", {16, 4}},   {"m16n8k8", {16, 8}},     {"m16n8k16", {16, 16}},   {"m16n8k32", {16, 32}},
        {"m16n8k64", {16, 64}}, {"m16n8k128", {16, 128}}, {"m16n8k256", {16, 256}}, {"m8n8k16", {8, 16}},
        {"m8n8k32", {8, 32}},   {"m8n8k128", {8, 128}},
    };
    for (const auto& known : kShapes) {
        if (binding.take(known.name)) return known.shape;
    }
    return {};
}

std::optional<Format> format_of(Type type) {
    switch (type) {
        case Type::f16: return Format::f16;
        case Type::bf16: return Format::bf16;
        case Type::tf32: return Format::tf32;
        case Type::e4m3: return Format::e4m3;
        case Type::e5m2: return Format::e5m2;
        case Type::e3m2: return Format::e3m2;
        case Type::e2m3: return Format::e2m3;
        case Type::e2m1: return Format::e2m1;
        default: return std::nullopt;
    }
}

int integer_bits(Type type) {
    switch (type) {
        case Type::s8:
        case Type::u8: return 8;
        case Type::s4:
        case Type::u4: return 4;
        case Type::b1: return 1;
        default: return 0;
    }
}

template <class Product>
void bind_operands(Binding& b, const Product& product, Type c_type) {
    if (b.num_operands() != 4) {
        return b.error("expected 4 operands, got " + std::to_string(b.num_operands()));
    }
    const RegisterCounts num = counts(product);
    const auto expect = [&b](const char* name, int expected, int got) {
        if (got != expected) {
            b.error("expected " + std::to_string(expected) + " registers of " + name + ", got " +
                    std::to_string(got));
        }
    };
    expect("d", num.c, b.dests(b.operand(0), c_type));
    expect("a", num.a, b.sources(b.operand(1), Type::b32));
    expect("b", num.b, b.sources(b.operand(2), Type::b32));
    expect("c", num.c, b.sources(b.operand(3), c_type));
    keep(product, b.instruction());
    b.handler(handler_of<Product>());
}

bool is_subbyte(Format format) {
    return format == Format::e3m2 || format == Format::e2m3 || format == Format::e2m1;
}

// Shapes by the width of an element: two rows of 8 elements of 16 bits, and so on.
bool is_float_shape(Shape shape, int container_bits) {
    return shape.rows == 16 && (shape.k * container_bits == 128 || shape.k * container_bits == 256);
}

Status bind_floats(Binding& b, Shape shape, Type type_d, Format a, Format format_b, Type type_c) {
    const bool is_narrow = mma::facts_of(a).container_bits == 8;
    const bool has_kind = b.take("kind::f8f6f4");
    const bool is_f16 = type_d == Type::f16;
    if (type_d != type_c || (type_d != Type::f32 && type_d != Type::f16) ||
        (is_f16 && (a == Format::bf16 || a == Format::tf32))) {
        return caller_error("the types of d and c do not go with those of a and b");
    }
    if (mma::facts_of(format_b).container_bits != (is_narrow ? 8 : mma::facts_of(a).container_bits) ||
        (!is_narrow && a != format_b)) {
        return caller_error("the types of a and b do not go together");
    }
    if (!is_float_shape(shape, mma::facts_of(a).container_bits) || (has_kind && shape.k != 32))
        return caller_error("the shape does not go with the types");
    if (has_kind && !is_narrow) return caller_error(".kind::f8f6f4 is for types of 8 bits and less");
    if ((is_subbyte(a) || is_subbyte(format_b)) && !has_kind)
        return caller_error("types of less than 8 bits need .kind::f8f6f4");
    bind_operands(b, mma::float_product(b.target(), a, format_b, shape.k, is_f16),
                  is_f16 ? Type::b32 : Type::f32);
    return {};
}

bool is_integer_shape(Shape shape, int bits) {
    const int row_bits = shape.k * bits;
    return shape.rows == 8 ? row_bits == 128 : row_bits == 128 || row_bits == 256;
}

Status bind_integers(Binding& b, Shape shape, Type d, Type type_a, Type type_b, Type c) {
    IntegerProduct product;
    product.bits = static_cast<u8>(integer_bits(type_a));
    product.a_signed = facts_of(type_a).is_signed;
    product.b_signed = facts_of(type_b).is_signed;
    product.rows = static_cast<u8>(shape.rows);
    product.k = static_cast<u16>(shape.k);
    if (d != Type::s32 || c != Type::s32) return caller_error("the types of d and c must be s32");
    if (integer_bits(type_b) != product.bits) return caller_error("the types of a and b do not go together");
    if (!is_integer_shape(shape, product.bits)) return caller_error("the shape does not go with the types");
    if (product.bits == 1) {
        const bool is_xor = b.take("xor");
        product.counts_and = !is_xor && b.take("and");
        if ((!is_xor && !product.counts_and) || !b.take("popc"))
            return caller_error("products of b1 need .xor.popc or .and.popc");
    } else {
        product.saturates = b.take("satfinite");
    }
    bind_operands(b, product, Type::s32);
    return {};
}

Status bind_mma(Binding& b) {
    if (!b.take("sync") || !b.take("aligned")) return caller_error("mma needs .sync.aligned");
    const auto not_covered = [&b](const char* what) {
        b.error(std::string("not covered yet: ") + what);
        return Status{};
    };
    if (!b.take_one_of({"sp", "sp::ordered_metadata"}).empty()) return not_covered("sparse products");
    if (b.take("block_scale")) return not_covered("products with block scales");
    const Shape shape = take_shape(b);
    if (shape.k == 0) return not_covered("this shape of mma");
    if (!b.take("row") || !b.take("col")) return caller_error("expected a in .row and b in .col layout");
    const std::vector<Type> types = b.take_types();
    if (types.size() != 4) return caller_error("expected 4 types, got " + std::to_string(types.size()));
    const std::optional<Format> format_a = format_of(types[1]), format_b = format_of(types[2]);
    if (format_a && format_b) return bind_floats(b, shape, types[0], *format_a, *format_b, types[3]);
    if (integer_bits(types[1]) != 0) return bind_integers(b, shape, types[0], types[1], types[2], types[3]);
    return not_covered("mma of these types");
}

constexpr Opcode kOpcodes[] = {
    {"mma", bind_mma, "9.7.14.5",
     ".sync.aligned, .row.col, dense: m16n8k8, m16n8k16 of f16 (f32 or f16 sums) and bf16; m16n8k4, m16n8k8 "
     "of "
     "tf32; m16n8k16, m16n8k32 of e4m3 and e5m2 (f32 or f16 sums); m16n8k32.kind::f8f6f4 of e4m3, e5m2, "
     "e3m2, "
     "e2m3, e2m1; m8n8k16, m16n8k16, m16n8k32 of s8 and u8, m8n8k32, m16n8k32, m16n8k64 of s4 and u4 "
     "{.satfinite}; m8n8k128, m16n8k128, m16n8k256 of b1 (.xor.popc, .and.popc)"},
};

}  // namespace

std::span<const Opcode> mma_opcodes() {
    return kOpcodes;
}

}  // namespace warpwright::emulator
