// SPDX-License-Identifier: Apache-2.0
// atom and red, PTX ISA 9.7.13.6 and 9.7.13.7. Each thread has a word of its own, so that what was there
// before is defined too; where all threads of a block meet at one word, only what they did together counts.
#include <fmt/format.h>

#include "tools/words/form.h"

namespace warpwright::words {
namespace {

struct AtomicType {
    std::string name, kind, result;
    std::vector<std::string> operations;
};

std::vector<AtomicType> types() {
    return {{"u32", "i32", "b32", {"add", "min", "max", "inc", "dec"}},
            {"s32", "i32", "b32", {"add", "min", "max"}},
            {"b32", "i32", "b32", {"and", "or", "xor", "exch"}},
            {"u64", "i64", "b64", {"add", "min", "max"}},
            {"s64", "i64", "b64", {"min", "max"}},
            {"b64", "i64", "b64", {"and", "or", "xor", "exch"}},
            {"f32", "f32", "b32", {"add"}},
            {"f64", "f64", "b64", {"add"}},
            {"f16", "f16", "b16", {"add.noftz"}},
            {"bf16", "bf16", "b16", {"add.noftz"}},
            {"f16x2", "f16x2", "b32", {"add.noftz"}},
            {"bf16x2", "bf16x2", "b32", {"add.noftz"}}};
}

// The word starts as %i0; %o1 is what atom found, %o0 what is there after red. In shared memory the words lie
// 8 bytes apart.
void add_own_word(Forms& forms, const AtomicType& type, bool is_shared) {
    for (const std::string& operation : type.operations) {
        const std::string suffix =
            fmt::format(".{}.{}.{}", is_shared ? "shared" : "global", operation, type.name);
        std::string body =
            is_shared ? "mad.lo.u32 %r30, %thread, 8, %buffer;\n" : "add.u64 %l0, %out, @o0;\n";
        const char* at = is_shared ? "[%r30]" : "[%l0]";
        body += fmt::format("st.{}.{} {}, %i0;\n", is_shared ? "shared" : "global", type.result, at);
        body += fmt::format("atom{} %o1, {}, %i1;\n", suffix, at);
        if (operation != "exch") body += fmt::format("red{} {}, %i2;\n", suffix, at);
        if (is_shared) body += fmt::format("ld.shared.{} %o0, [%r30];\n", type.result);
        forms
            .add("atom red" + suffix,
                 fmt::format("{0} {0} {0} > {1}{2} {1}", type.kind, type.result, is_shared ? "" : "*"), body)
            .with_shared(is_shared ? 1024 : 0);
    }
}

void add_compare_and_swap(Forms& forms) {
    for (const char* size : {"16", "32", "64"}) {
        // Every other thread expects what is there.
        const std::string body = fmt::format(
            "selp.b{0} %i1, %i0, %i1, %i3;\nst.SPACE.b{0} [AT], %i0;\n"
            "atom.SPACE.cas.b{0} %o1, [AT], %i1, %i2;\nld.SPACE.b{0} %o0, [AT];\n",
            size);
        const auto placed = [&](std::string text, const std::string& space, const std::string& at) {
            for (std::size_t i = text.find("SPACE"); i != text.npos; i = text.find("SPACE"))
                text.replace(i, 5, space);
            for (std::size_t i = text.find("AT]"); i != text.npos; i = text.find("AT]"))
                text.replace(i, 2, at);
            return text;
        };
        const std::string operands = fmt::format("i{0} i{0} i{0} pred", size);
        forms.add(fmt::format("atom.global.cas.b{}", size),
                  fmt::format("{0} > b{1} b{1} b{1}*", operands, size),
                  "add.u64 %l0, %out, @o2;\n" + placed(body, "global", "%l0"));
        forms
            .add(fmt::format("atom.shared.cas.b{}", size), fmt::format("{0} > b{1} b{1}", operands, size),
                 "mad.lo.u32 %r30, %thread, 8, %buffer;\n" + placed(body, "shared", "%r30"))
            .with_shared(1024);
    }
    const std::string wide =
        ".reg .b128 %new, %old, %expected;\nadd.u64 %l0, %out, @o0;\n"
        "st.global.b64 [%l0], %i0;\nst.global.b64 [%l0+8], %i1;\nmov.b128 %new, {%i2, %i3};\n";
    forms.add("atom.global.exch.b128", "i64 i64 i64 i64 > b128* b64 b64",
              wide + "atom.global.exch.b128 %old, [%l0], %new;\nmov.b128 {%o1, %o2}, %old;\n");
    forms.add("atom.global.cas.b128", "i64 i64 i64 i64 pred > b128* b64 b64",
              wide +
                  "selp.b64 %l1, %i0, %i2, %i4;\nmov.b128 %expected, {%l1, %i1};\n"
                  "atom.global.cas.b128 %old, [%l0], %expected, %new;\nmov.b128 {%o1, %o2}, %old;\n");
}

void add_vectors(Forms& forms) {
    struct Vector {
        const char* type;
        const char* result;
        int count;
        std::vector<const char*> operations;
    };
    const Vector vectors[] = {{"f32", "b32", 2, {"add"}},
                              {"f32", "b32", 4, {"add"}},
                              {"f16", "b16", 2, {"add.noftz", "min.noftz", "max.noftz"}},
                              {"f16", "b16", 8, {"add.noftz"}},
                              {"bf16", "b16", 4, {"add.noftz", "min.noftz", "max.noftz"}},
                              {"f16x2", "b32", 2, {"add.noftz", "max.noftz"}},
                              {"bf16x2", "b32", 4, {"add.noftz", "min.noftz"}}};
    for (const Vector& vector : vectors) {
        const int bytes = vector.result[1] == '1' ? 2 : 4;
        for (const char* operation : vector.operations) {
            // The first operands are what is there before, in the 16 bytes of %o0.
            std::string operands, results, body = "add.u64 %l0, %out, @o0;\n", sources, found;
            for (int i = 0; i < vector.count; ++i) {
                operands += fmt::format("{0} {0} ", vector.type);
                results += fmt::format(" {}", vector.result);
                body += fmt::format("st.global.{} [%l0+{}], %i{};\n", vector.result, bytes * i, i);
                sources += fmt::format("{}%i{}", i == 0 ? "" : ", ", vector.count + i);
                found += fmt::format("{}%o{}", i == 0 ? "" : ", ", 1 + i);
            }
            const std::string suffix = fmt::format(".global.{}.v{}.{}", operation, vector.count, vector.type);
            body += fmt::format("atom{0} {{{1}}}, [%l0], {{{2}}};\nred{0} [%l0], {{{2}}};\n", suffix, found,
                                sources);
            forms.add("atom red" + suffix, operands + "> b128*" + results, body);
        }
    }
}

// All threads of a block on one word: operations whose order does not matter.
void add_contended(Forms& forms) {
    const char* operations[] = {"add.u32", "min.s32", "max.u32", "and.b32", "or.b32", "xor.b32", "inc.u32"};
    std::string body =
        "shl.b32 %r0, %lane, 2;\nadd.u32 %r0, %buffer, %r0;\nst.shared.u32 [%r0], 12345;\n"
        "bar.sync 0;\n";
    std::string results;
    for (int i = 0; i < 7; ++i) {
        // Of different limits the order would matter; of many random words no bit is left by and, or.
        const char* operand = i == 6 ? "100" : i == 3 || i == 4 ? "%i1" : "%i0";
        body += fmt::format("{}.shared.{}{} [%buffer+{}], {};\n", i % 2 == 0 ? "red" : "atom", operations[i],
                            i % 2 == 0 ? "" : " %r1,", 4 * i, operand);
        results += " b32";
    }
    body += "bar.sync 0;\n";
    for (int i = 0; i < 7; ++i) body += fmt::format("ld.shared.u32 %o{}, [%buffer+{}];\n", i, 4 * i);
    forms.add("atom red contended", "i32 few32 >" + results, body).with_shared(128);

    body = "add.u64 %l0, %out, @o0;\nst.global.u32 [%l0], %i0;\n";
    for (const char* order : {"relaxed.cta", "relaxed.gpu", "relaxed.sys", "acquire.gpu", "release.gpu",
                              "acq_rel.cta", "acq_rel.gpu", "acq_rel.sys", "acq_rel.cluster"})
        body += fmt::format("atom.{}.global.add.u32 %o1, [%l0], %i1;\n", order);
    for (const char* order : {"relaxed.cta", "relaxed.gpu", "release.sys", "release.gpu"})
        body += fmt::format("red.{}.global.add.u32 [%l0], %i1;\n", order);
    forms.add("atom red.ORDER.add.u32", "i32 i32 > b32* b32", body);
}

}  // namespace

void add_atomic_forms(Forms& forms) {
    for (const AtomicType& type : types()) {
        add_own_word(forms, type, false);
        add_own_word(forms, type, true);
    }
    add_compare_and_swap(forms);
    add_vectors(forms);
    add_contended(forms);
}

}  // namespace warpwright::words
