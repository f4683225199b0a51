// SPDX-License-Identifier: Apache-2.0
// mma.sync, PTX ISA 9.7.14.5.14. Floating-point results are what Hopper's tensor cores give: order and
// rounding of the sum are not PTX's. A block is one warp, one tile.
#include <fmt/format.h>

#include "tools/words/form.h"

namespace warpwright::words {
namespace {

constexpr int kTiles = 200;

struct Product {
    std::string shape, types;  // "m16n8k16", "f32.f16.f16.f32"
    const char* a;             // kinds of values
    const char* b;
    const char* c;
    int num_a, num_b, num_c;  // registers
    std::string satfinite = {};
};

void add_product(Forms& forms, const Product& product) {
    std::string operands;
    std::string results;
    const auto vector = [&](const char* prefix, int first, int count) {
        std::string text;
        for (int i = 0; i < count; ++i) text += fmt::format("{}%{}{}", i == 0 ? "" : ", ", prefix, first + i);
        return "{" + text + "}";
    };
    for (int i = 0; i < product.num_a; ++i) operands += fmt::format("{} ", product.a);
    for (int i = 0; i < product.num_b; ++i) operands += fmt::format("{} ", product.b);
    for (int i = 0; i < product.num_c; ++i) {
        operands += fmt::format("{} ", product.c);
        results += " b32";
    }
    const std::string opcode =
        fmt::format("mma.sync.aligned.{}.row.col{}.{}", product.shape, product.satfinite, product.types);
    forms
        .add(opcode, operands + ">" + results,
             fmt::format("{} {}, {}, {}, {};\n", opcode, vector("o", 0, product.num_c),
                         vector("i", 0, product.num_a), vector("i", product.num_a, product.num_b),
                         vector("i", product.num_a + product.num_b, product.num_c)))
        .with_vectors(kTiles * 32)
        .with_block(32);
}

void add_float_products(Forms& forms) {
    for (const auto& [shape, num_a, num_b] : {std::tuple{"m16n8k8", 2, 1}, {"m16n8k16", 4, 2}}) {
        add_product(forms, {shape, "f32.f16.f16.f32", "t.f16x2", "t.f16x2", "t.f32", num_a, num_b, 4});
        add_product(forms, {shape, "f16.f16.f16.f16", "t.f16x2", "t.f16x2", "t.accf16x2", num_a, num_b, 2});
        add_product(forms, {shape, "f32.bf16.bf16.f32", "t.bf16x2", "t.bf16x2", "t.f32", num_a, num_b, 4});
    }
    add_product(forms, {"m16n8k4", "f32.tf32.tf32.f32", "t.tf32", "t.tf32", "t.f32", 2, 1, 4});
    add_product(forms, {"m16n8k8", "f32.tf32.tf32.f32", "t.tf32", "t.tf32", "t.f32", 4, 2, 4});
    for (const std::string a : {"e4m3", "e5m2"}) {
        for (const std::string b : {"e4m3", "e5m2"}) {
            const std::string a_kind = fmt::format("t.{}x4", a), b_kind = fmt::format("t.{}x4", b);
            for (const auto& [shape, num_a, num_b] : {std::tuple{"m16n8k16", 2, 1}, {"m16n8k32", 4, 2}}) {
                add_product(forms, {shape, fmt::format("f32.{}.{}.f32", a, b), a_kind.c_str(), b_kind.c_str(),
                                    "t.f32", num_a, num_b, 4});
                add_product(forms, {shape, fmt::format("f16.{}.{}.f16", a, b), a_kind.c_str(), b_kind.c_str(),
                                    "t.accf16x2", num_a, num_b, 2});
            }
        }
    }
}

void add_integer_products(Forms& forms) {
    struct Shape {
        const char* name;
        int num_a, num_b, num_c;
    };
    const Shape bytes[] = {{"m8n8k16", 1, 1, 2}, {"m16n8k16", 2, 1, 4}, {"m16n8k32", 4, 2, 4}};
    const Shape nibbles[] = {{"m8n8k32", 1, 1, 2}, {"m16n8k32", 2, 1, 4}, {"m16n8k64", 4, 2, 4}};
    for (const char* satfinite : {"", ".satfinite"}) {
        for (const char* a : {"s", "u"}) {
            for (const char* b : {"s", "u"}) {
                for (const Shape& shape : bytes) {
                    add_product(forms, {shape.name, fmt::format("s32.{}8.{}8.s32", a, b), "t.i8x4", "t.i8x4",
                                        "t.i32", shape.num_a, shape.num_b, shape.num_c, satfinite});
                }
                for (const Shape& shape : nibbles) {
                    add_product(forms, {shape.name, fmt::format("s32.{}4.{}4.s32", a, b), "t.i4x8", "t.i4x8",
                                        "t.i32", shape.num_a, shape.num_b, shape.num_c, satfinite});
                }
            }
        }
    }
}

}  // namespace

void add_mma_forms(Forms& forms) {
    add_float_products(forms);
    add_integer_products(forms);
}

}  // namespace warpwright::words
