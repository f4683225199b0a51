// SPDX-License-Identifier: Apache-2.0
// Loads, stores and moves, PTX ISA 9.7.9; special registers, chapter 10.
#include <fmt/format.h>

#include "tools/words/form.h"

namespace warpwright::words {
namespace {

// Where a form's 16 bytes are: their space, and what brings them there from the input.
struct Place {
    std::string space;    // ".shared", or "" for a generic address
    std::string address;  // a register
    std::string fill;     // %l2, %l3 hold the bytes
    int shared_bytes = 0;
};

const std::string kSharedSlot = "mad.lo.u32 %r30, %thread, 16, %buffer;\n";
const std::string kLocalSlot = ".local .align 16 .b8 local_memory[16];\n";

std::vector<Place> places() {
    return {{".global", "%l0", "add.u64 %l0, %out, @o0;\n"},
            {"", "%l0", "add.u64 %l0, %out, @o0;\n"},
            {".shared", "%r30", kSharedSlot, 2048},
            {".shared::cta", "%r30", kSharedSlot, 2048},
            {"", "%l0", kSharedSlot + "cvt.u64.u32 %l0, %r30;\ncvta.shared.u64 %l0, %l0;\n", 2048},
            {".local", "%r30", kLocalSlot + "mov.u32 %r30, local_memory;\n"},
            {"", "%l0", kLocalSlot + "mov.u64 %l0, local_memory;\ncvta.local.u64 %l0, %l0;\n"}};
}
constexpr const char* kPlaceNames[] = {
    "global", "generic global", "shared", "shared::cta", "generic of shared", "local", "generic of local"};

// Every type and vector from 16 bytes of the place.
void add_loads(Forms& forms, const Place& place, const std::string& name) {
    Statements scalar;
    const std::string address = fmt::format("[{}", place.address);
    const auto load = [&](const std::string& suffix, const char* result, int offset) {
        scalar.add(fmt::format("ld{}.{}", place.space, suffix), result,
                   fmt::format("{}+{}]", address, offset));
    };
    // The in-memory result @o0 comes first: it is what the global places load from.
    scalar.results = " b128*";
    scalar.count = 1;
    for (const char* type : {"b8", "u8", "s8"}) load(type, "b32", 3);
    for (const char* type : {"b16", "u16", "s16"}) load(type, "b32", 6);
    for (const char* type : {"b32", "u32", "s32", "f32"}) load(type, "b32", 4);
    for (const char* type : {"b64", "u64", "s64", "f64"}) load(type, "b64", 8);
    for (const char* type : {"u8", "s16"}) load(type, "b16", 10);
    const std::string fill = place.fill + fmt::format("st{}.b64 {}], %i0;\nst{}.b64 {}+8], %i1;\n",
                                                      place.space, address, place.space, address);
    forms.add(fmt::format("ld.TYPE {}", name), "i64 i64 >" + scalar.results, fill + scalar.body)
        .with_shared(place.shared_bytes);

    std::string body = fill, results = " b128*";
    int output = 1;
    const auto vector = [&](int count, const std::string& type, const char* result, int offset) {
        std::string list;
        for (int i = 0; i < count; ++i, ++output) {
            list += fmt::format("{}%o{}", i == 0 ? "" : ", ", output);
            results += fmt::format(" {}", result);
        }
        body += fmt::format("ld{}.v{}.{} {{{}}}, {}+{}];\n", place.space, count, type, list, address, offset);
    };
    vector(2, "u8", "b16", 2);
    vector(4, "s8", "b32", 4);
    vector(2, "s16", "b32", 8);
    vector(4, "b16", "b16", 8);
    vector(2, "u32", "b32", 8);
    vector(4, "b32", "b32", 0);
    vector(4, "f32", "b32", 0);
    vector(2, "b64", "b64", 0);
    vector(2, "f64", "b64", 0);
    forms.add(fmt::format("ld.VECTOR {}", name), "i64 i64 >" + results, body).with_shared(place.shared_bytes);
}

// Every type and vector into 16 bytes of the place, each over what the ones before left.
void add_stores(Forms& forms, const Place& place, const std::string& name) {
    const std::string st = "st" + place.space;
    const std::string& at = place.address;
    std::string body = place.fill + fmt::format("{0}.b64 [{1}], 0;\n{0}.b64 [{1}+8], -1;\n", st, at);
    body += "mov.b64 {%r0, %r1}, %i0;\nmov.b64 {%h0, %h1, %h2, %h3}, %i1;\n";
    const auto read_back = [&](int output) {
        body += fmt::format("ld{0}.b64 %o{2}, [{1}];\nld{0}.b64 %o{3}, [{1}+8];\n", place.space, at, output,
                            output + 1);
    };
    body += fmt::format(
        "{0}.u8 [{1}+1], %r0;\n{0}.s8 [{1}+2], %h0;\n{0}.b16 [{1}+4], %h1;\n"
        "{0}.s16 [{1}+6], %r1;\n{0}.f32 [{1}+8], %r0;\n{0}.b32 [{1}+12], 0x12345678;\n",
        st, at);
    read_back(1);
    body += fmt::format(
        "{0}.v2.u8 [{1}], {{%h0, %h1}};\n{0}.v4.b8 [{1}+4], {{%h0, %h1, %h2, %h3}};\n"
        "{0}.v2.u16 [{1}+8], {{%h2, %h3}};\n",
        st, at);
    read_back(3);
    body +=
        fmt::format("{0}.v4.u16 [{1}], {{%h3, %h2, %h1, %h0}};\n{0}.v2.f32 [{1}+8], {{%r1, %r0}};\n", st, at);
    read_back(5);
    body += fmt::format("{0}.v4.u32 [{1}], {{%r0, %r1, %r0, 7}};\n", st, at);
    read_back(7);
    body += fmt::format("{0}.v2.b64 [{1}], {{%i1, %i0}};\n", st, at);
    read_back(9);
    forms
        .add(fmt::format("st.TYPE {}", name), "i64 i64 > b128* b64 b64 b64 b64 b64 b64 b64 b64 b64 b64", body)
        .with_shared(place.shared_bytes);
}

// Modifiers that change when and from where, but not what.
void add_cached(Forms& forms) {
    Statements loads;
    for (const char* modifiers :
         {"ca", "cg", "cs", "lu", "cv", "nc", "L1::evict_first", "L1::evict_last", "L1::no_allocate",
          "L2::64B", "L2::128B", "L2::256B", "nc.L1::no_allocate.L2::128B", "L1::evict_normal"}) {
        loads.add(fmt::format("ld.global.{}.u32", modifiers), "b32", "[%in + @i0]");
    }
    forms.add("ld.global.CACHE.u32", "i32* >" + loads.results, loads.body);
    Statements ordered;
    for (const char* modifiers :
         {"volatile.global", "relaxed.cta.global", "relaxed.gpu.global", "relaxed.sys.global",
          "acquire.cta.global", "acquire.gpu.global", "acquire.sys.global", "relaxed.cluster.global",
          "weak.global", "mmio.relaxed.sys.global"})
        ordered.add(fmt::format("ld.{}.u32", modifiers), "b32", "[%in + @i0]");
    forms.add("ld.ORDER.u32", "i32* >" + ordered.results, ordered.body);
    std::string body, results;
    int output = 0;
    for (const char* modifiers :
         {"global.wb", "global.cg", "global.cs", "global.wt", "global.L1::evict_first",
          "global.L1::no_allocate", "volatile.global", "relaxed.cta.global", "relaxed.gpu.global",
          "relaxed.sys.global", "release.cta.global", "release.gpu.global", "release.sys.global",
          "release.cluster.global", "weak.global", "mmio.relaxed.sys.global"}) {
        body += fmt::format("st.{}.u32 [%out + @o{}], %i0;\n", modifiers, output++);
        results += " b32*";
    }
    forms.add("st.MODIFIERS.u32", "i32 >" + results, body);
    forms.add("fences and hints", "i32 > b32* b32",
              "st.global.u32 [%out + @o0], %i0;\n"
              "membar.cta;\nmembar.gl;\nmembar.sys;\n"
              "fence.acq_rel.cta;\nfence.acq_rel.cluster;\nfence.acq_rel.gpu;\nfence.acq_rel.sys;\n"
              "fence.sc.cta;\nfence.sc.cluster;\nfence.sc.gpu;\nfence.sc.sys;\n"
              "fence.acquire.gpu;\nfence.release.gpu;\n"
              "prefetch.global.L1 [%in];\nprefetch.global.L2 [%in];\nprefetchu.L1 [%in];\n"
              "griddepcontrol.launch_dependents;\ngriddepcontrol.wait;\nnanosleep.u32 20;\n"
              "ld.global.u32 %o1, [%out + @o0];\n");
}

void add_moves(Forms& forms) {
    forms.add("mov.TYPE", "i16 i32 i64 > b16 b16 b32 b32 b32 b64 b64 b64 b32 b64",
              "mov.b16 %o0, %i0;\nmov.u16 %o1, %i0;\nmov.b32 %o2, %i1;\nmov.s32 %o3, %i1;\n"
              "mov.f32 %o4, %i1;\nmov.b64 %o5, %i2;\nmov.u64 %o6, %i2;\nmov.f64 %o7, %i2;\n"
              "mov.f32 %o8, 0f7F800001;\nmov.f64 %o9, 0dFFF0000000000003;\n");
    forms.add("mov of vectors",
              "i16 i16 i16 i16 i32 i32 i64 i64 > b32 b64 b64 b16 b16 b32 b32 b16 b16 b64 b64",
              "mov.b32 %o0, {%i0, %i1};\n"
              "mov.b64 %o1, {%i0, %i1, %i2, %i3};\n"
              "mov.b64 %o2, {%i4, %i5};\n"
              "mov.b32 {%o3, %o4}, %i4;\n"
              "mov.b64 {%o5, %o6}, %i6;\n"
              "mov.b64 {%o7, _, _, %o8}, %i6;\n"
              ".reg .b128 %wide;\nmov.b128 %wide, {%i6, %i7};\nmov.b128 {%o10, %o9}, %wide;\n");
    Statements permutations;
    for (const char* mode : {"", ".f4e", ".b4e", ".rc8", ".ecl", ".ecr", ".rc16"})
        permutations.add(fmt::format("prmt.b32{}", mode), "b32", "%i0, %i1, %i2");
    permutations.add("prmt.b32", "b32", "%i0, %i1, 0x5410");
    permutations.add("prmt.b32", "b32", "%i0, 0, 0x9bdf");
    forms.add("prmt.b32", "i32 i32 i32 >" + permutations.results, permutations.body);

    std::string body = kLocalSlot +
                       "mov.u32 %r0, shared_memory;\ncvt.u64.u32 %l0, %r0;\ncvta.shared.u64 %l1, %l0;\n"
                       "mov.u64 %l2, local_memory;\ncvta.local.u64 %l3, %l2;\nmov.u64 %l5, %in;\n"
                       "cvta.to.shared.u64 %l6, %l1;\nsetp.eq.u64 %o0, %l6, %l0;\n"
                       "cvta.to.local.u64 %l6, %l3;\nsetp.eq.u64 %o1, %l6, %l2;\n"
                       "cvta.to.global.u64 %l6, %in;\nsetp.eq.u64 %o2, %l6, %in;\n"
                       "cvta.global.u64 %l6, %in;\nsetp.eq.u64 %o3, %l6, %in;\n";
    std::string results = " pred pred pred pred";
    int output = 4;
    for (const char* space : {"global", "shared", "local", "shared::cta"}) {
        for (const char* address : {"%l1", "%l3", "%l5"}) {
            body += fmt::format("isspacep.{} %o{}, {};\n", space, output++, address);
            results += " pred";
        }
    }
    forms.add("cvta isspacep", "i32 >" + results, body).with_shared(16);

    Statements special;
    for (const char* name : {"tid.x", "tid.y", "tid.z", "ntid.x", "ntid.y", "ntid.z", "ctaid.x", "ctaid.y",
                             "nctaid.x", "nctaid.z", "laneid", "lanemask_eq", "lanemask_le", "lanemask_lt",
                             "lanemask_ge", "lanemask_gt", "dynamic_smem_size"})
        special.add("mov.u32", "b32", fmt::format("%{}", name));
    special.add("mov.u32", "b32", "WARP_SZ");
    forms.add("special registers", "i32 >" + special.results, special.body);

    forms
        .add("const and global variables", "lane > b32 b32 b64 b16",
             "and.b32 %r0, %i0, 7;\nshl.b32 %r1, %r0, 2;\ncvt.u64.u32 %l0, %r1;\n"
             "mov.u64 %l1, table;\nadd.u64 %l1, %l1, %l0;\nld.const.u32 %o0, [%l1];\n"
             "mov.u64 %l2, numbers;\nadd.u64 %l2, %l2, %l0;\nld.global.f32 %o1, [%l2];\n"
             "ld.global.u64 %l3, [pointer];\nsub.u64 %o2, %l3, %l2;\n"
             "ld.const.u8 %o3, [text+2];\n")
        .with_declarations(
            ".const .align 4 .u32 table[8] = {1, 2, 3, 0xffffffff, 5, -6};\n"
            ".global .align 4 .f32 numbers[8] = {1.5, 0f3F800001, -2.0, 0f7F800001};\n"
            ".global .align 8 .u64 pointer = numbers+4;\n"
            ".const .align 1 .b8 text[4] = {104, 105, 33, 0};\n");
}

void add_branches(Forms& forms) {
    // Lanes loop as often as their operand says, and meet again.
    forms.add("bra", "lane i32 > b32 b32",
              "mov.b32 %o0, 0;\nmov.b32 %r0, %i0;\n"
              "AGAIN:\nsetp.eq.u32 %p0, %r0, 0;\n@%p0 bra DONE;\n"
              "add.u32 %o0, %o0, %i1;\nsub.u32 %r0, %r0, 1;\nbra.uni AGAIN;\n"
              "DONE:\nsetp.lt.s32 %p1, %i1, 0;\n@%p1 bra NEGATIVE;\nmov.b32 %o1, 1;\nbra JOINED;\n"
              "NEGATIVE:\nmov.b32 %o1, 2;\nJOINED:\n");
    forms.add("guards", "pred i32 > b32 b32",
              "mov.b32 %o0, 5;\nmov.b32 %o1, 6;\n@%i0 add.s32 %o0, %i1, 1;\n@!%i0 mov.b32 %o1, %i1;\n");
}

}  // namespace

void add_memory_forms(Forms& forms) {
    const std::vector<Place> all = places();
    for (std::size_t i = 0; i < all.size(); ++i) {
        add_loads(forms, all[i], kPlaceNames[i]);
        add_stores(forms, all[i], kPlaceNames[i]);
    }
    add_cached(forms);
    add_moves(forms);
    add_branches(forms);
}

}  // namespace warpwright::words
