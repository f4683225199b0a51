// SPDX-License-Identifier: Apache-2.0
// Moves of 8 x 8 matrices (PTX ISA 9.7.14.5.15 to 17) and asynchronous copies (9.7.9.25). A block is one
// warp, its shared memory 32 rows of 16 bytes.
#include <fmt/format.h>

#include "tools/words/form.h"

namespace warpwright::words {
namespace {

constexpr int kMatrixVectors = 1024;

std::string list(const char* prefix, int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += fmt::format("{}%{}{}", i == 0 ? "" : ", ", prefix, i);
    return "{" + text + "}";
}

void add_loads(Forms& forms) {
    // %i4 says which row the lane names; several may name the same.
    const std::string fill =
        "shl.b32 %r0, %lane, 4;\nadd.u32 %r0, %buffer, %r0;\n"
        "st.shared.v4.b32 [%r0], {%i0, %i1, %i2, %i3};\nbar.sync 0;\n"
        "shl.b32 %r1, %i4, 4;\nadd.u32 %r1, %buffer, %r1;\n";
    for (const int count : {1, 2, 4}) {
        std::string results = count == 1 ? " b32" : count == 2 ? " b32 b32" : " b32 b32 b32 b32";
        for (const char* trans : {"", ".trans"}) {
            const std::string opcode =
                fmt::format("ldmatrix.sync.aligned.m8n8.x{}{}.shared.b16", count, trans);
            forms
                .add(opcode, "i32 i32 i32 i32 lane >" + results,
                     fmt::format("{}{} {}, [%r1];\n", fill, opcode, list("o", count)))
                .with_vectors(kMatrixVectors)
                .with_block(32)
                .with_shared(512);
        }
    }
    // The same through a generic address, modifiers in another order.
    forms
        .add("ldmatrix generic", "i32 i32 i32 i32 lane > b32 b32 b32 b32",
             fill +
                 "cvt.u64.u32 %l0, %r1;\ncvta.shared.u64 %l0, %l0;\n"
                 "ldmatrix.sync.aligned.x4.m8n8.b16 {%o0, %o1, %o2, %o3}, [%l0];\n")
        .with_vectors(kMatrixVectors)
        .with_block(32)
        .with_shared(512);
}

void add_stores(Forms& forms) {
    // Lane l names the row 5 l + k modulo 32: no row twice, an order of each warp's own.
    const std::string rows =
        "shl.b32 %r0, %lane, 4;\nadd.u32 %r0, %buffer, %r0;\nst.shared.v4.b32 [%r0], {-1, -1, -1, -1};\n"
        "bar.sync 0;\nshfl.sync.idx.b32 %r1, %i4, 0, 31, -1;\nmad.lo.u32 %r1, %lane, 5, %r1;\n"
        "and.b32 %r1, %r1, 31;\nshl.b32 %r1, %r1, 4;\nadd.u32 %r1, %buffer, %r1;\n";
    for (const int count : {1, 2, 4}) {
        for (const char* trans : {"", ".trans"}) {
            const std::string opcode =
                fmt::format("stmatrix.sync.aligned.m8n8.x{}{}.shared.b16", count, trans);
            forms
                .add(opcode, "i32 i32 i32 i32 lane > b32 b32 b32 b32",
                     fmt::format("{}{} [%r1], {};\nbar.sync 0;\n"
                                 "ld.shared.v4.b32 {{%o0, %o1, %o2, %o3}}, [%r0];\n",
                                 rows, opcode, list("i", count)))
                .with_vectors(kMatrixVectors)
                .with_block(32)
                .with_shared(512);
        }
    }
    forms.add("movmatrix.sync.aligned.m8n8.trans.b16", "i32 > b32").with_vectors(kMatrixVectors);
}

void add_copies(Forms& forms) {
    // 16 bytes of -1 in shared memory, then the copy over them. %i1: how many bytes there are to copy.
    const std::string begin =
        "shl.b32 %r0, %thread, 4;\nadd.u32 %r0, %buffer, %r0;\nst.shared.v4.b32 [%r0], {-1, -1, -1, -1};\n"
        "add.u64 %l0, %in, @i0;\n";
    const std::string end = "ld.shared.v4.b32 {%o0, %o1, %o2, %o3}, [%r0];\n";
    const auto add = [&](const std::string& name, const std::string& operands, const std::string& body) {
        forms.add(name, operands + " > b32 b32 b32 b32", begin + body + end).with_shared(2048);
    };
    const std::string wait = "cp.async.commit_group;\ncp.async.wait_group 0;\n";
    for (const int bytes : {4, 8, 16}) {
        const std::string below = fmt::format("below{}", bytes + 1);
        for (const char* cache : {"ca", "cg"}) {
            if (cache[1] == 'g' && bytes != 16) continue;
            const std::string opcode = fmt::format("cp.async.{}.shared.global", cache);
            add(fmt::format("{} {}", opcode, bytes), "b128*",
                fmt::format("{} [%r0], [%l0], {};\n{}", opcode, bytes, wait));
            add(fmt::format("{} {} of some bytes", opcode, bytes), "b128* " + below,
                fmt::format("{} [%r0], [%l0], {}, %i1;\n{}", opcode, bytes, wait));
            add(fmt::format("{} {} or none", opcode, bytes), "b128* pred",
                fmt::format("{} [%r0], [%l0], {}, %i1;\n{}", opcode, bytes, wait));
        }
    }
    add("cp.async.cg.shared.global.L2::128B", "b128*",
        "cp.async.cg.shared.global.L2::128B [%r0], [%l0], 16;\ncp.async.wait_all;\n");
    add("cp.async.ca.shared::cta.global.L2::64B", "b128* below9",
        "cp.async.ca.shared::cta.global.L2::64B [%r0+8], [%l0], 8, %i1;\ncp.async.wait_all;\n");
    // Of two groups side by side; the younger may still be under way at the first wait.
    add("cp.async groups", "b128* b128*",
        "add.u64 %l1, %in, @i1;\ncp.async.ca.shared.global [%r0], [%l0], 8;\ncp.async.commit_group;\n"
        "cp.async.ca.shared.global [%r0+8], [%l1], 4;\ncp.async.commit_group;\ncp.async.commit_group;\n"
        "cp.async.wait_group 2;\ncp.async.wait_group 0;\n");
}

}  // namespace

void add_matrix_forms(Forms& forms) {
    add_loads(forms);
    add_stores(forms);
    add_copies(forms);
}

}  // namespace warpwright::words
