// SPDX-License-Identifier: Apache-2.0
#include "inspect/forms.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>

namespace warpwright::inspect {

const std::vector<Form>& forms() {
    // clang-format off
    static const std::vector<Form> all = {
        // ---- mma.sync
        {"75+", "hmma", "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3},{%r0,%r1},{%r2},{%f0,%f1,%f2,%f3};"},
        {"75+", "hmma; 80+:", "mma.sync.aligned.m8n8k4.row.col.f16.f16.f16.f16 {%r0,%r1,%r2,%r3},{%r4,%r5},{%r6,%r7},{%r0,%r1,%r2,%r3};"},
        {"80+", "hmma", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5},{%f0,%f1,%f2,%f3};"},
        {"80+", "hmma", "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%r0,%r1},{%r2,%r3,%r4,%r5},{%r6,%r7},{%r0,%r1};"},
        {"80+", "hmma", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5},{%f0,%f1,%f2,%f3};"},
        {"80+", "dmma", "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%g0,%g1},{%g2},{%g3},{%g0,%g1};"},
        {"75+", "imma", "mma.sync.aligned.m8n8k16.row.col.satfinite.s32.s8.s8.s32 {%r0,%r1},{%r2},{%r3},{%r0,%r1};"},
        {"80+", "imma", "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%r0,%r1,%r2,%r3},{%r4,%r5,%r6,%r7},{%r8,%r9},{%r0,%r1,%r2,%r3};"},
        {"80+", "imma", "mma.sync.aligned.m16n8k64.row.col.s32.s4.s4.s32 {%r0,%r1,%r2,%r3},{%r4,%r5,%r6,%r7},{%r8,%r9},{%r0,%r1,%r2,%r3};"},
        {"80+", "bmma; 100+: imma", "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%r0,%r1,%r2,%r3},{%r4,%r5,%r6,%r7},{%r8,%r9},{%r0,%r1,%r2,%r3};"},
        {"89+", "qmma; 90-110: hmma fp8.convert fp8.mma.emulated", "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5},{%f0,%f1,%f2,%f3};"},
        {"89+", "qmma; 90-110: hmma fp8.convert fp8.mma.emulated", "mma.sync.aligned.m16n8k16.row.col.f32.e4m3.e4m3.f32 {%f0,%f1,%f2,%f3},{%r0,%r1},{%r4},{%f0,%f1,%f2,%f3};"},
        {"89+", "qmma; 90-110: hmma fp8.convert fp8.mma.emulated", "mma.sync.aligned.m16n8k32.row.col.f16.e4m3.e4m3.f16 {%r0,%r1},{%r2,%r3,%r4,%r5},{%r6,%r7},{%r0,%r1};"},
        {"100+af", "qmma; 100-110: hmma fp8.convert fp8.mma.emulated", "mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e5m2.e5m2.f32 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5},{%f0,%f1,%f2,%f3};"},
        {"120-121af", "qmma", "mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e2m1.e3m2.f32 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5},{%f0,%f1,%f2,%f3};"},
        {"120-121af", "qmma.sf", "mma.sync.aligned.m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X.f32.e4m3.e2m1.f32.ue8m0 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5},{%f0,%f1,%f2,%f3},%r6,{0,0},%r7,{0,0};"},
        {"120-121af", "omma.sf", "mma.sync.aligned.m16n8k64.row.col.kind::mxf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5},{%f0,%f1,%f2,%f3},%r6,{0,0},%r7,{0,0};"},
        {"120-121af", "omma.sf", "mma.sync.aligned.m16n8k64.row.col.kind::mxf4nvf4.block_scale.scale_vec::4X.f32.e2m1.e2m1.f32.ue4m3 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5},{%f0,%f1,%f2,%f3},%r6,{0,0},%r7,{0,0};"},
        // sparse
        {"80+", "hmma sparse", "mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5,%r6,%r7},{%f0,%f1,%f2,%f3},%r8,0x0;"},
        {"80+", "hmma sparse", "mma.sp.sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5,%r6,%r7},{%f0,%f1,%f2,%f3},%r8,0x0;"},
        {"80+", "imma sparse", "mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.s32.s8.s8.s32 {%r0,%r1,%r2,%r3},{%r4,%r5,%r6,%r7},{%r9,%r10,%r11,%r12},{%r0,%r1,%r2,%r3},%r8,0x0;"},
        {"89+", "qmma sparse; 90-110: hmma sparse fp8.convert fp8.mma.emulated", "mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.f32.e4m3.e4m3.f32 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5,%r6,%r7},{%f0,%f1,%f2,%f3},%r8,0x0;"},
        {"120a 121a", "omma.sf sparse", "mma.sp::ordered_metadata.sync.aligned.m16n8k128.row.col.kind::mxf4.block_scale.scale_vec::2X.f32.e2m1.e2m1.f32.ue8m0 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5,%r6,%r7},{%f0,%f1,%f2,%f3},%r8,0x0,%r9,{0,0},%r10,{0,0};"},
        // ---- wgmma
        {"90a", "hgmma", "wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0,%f1,%f2,%f3},%d0,%d1,1,1,1,0,0; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;"},
        {"90a", "hgmma", "wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},%d1,1,1,1,0; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;"},
        {"90a", "qgmma", "wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e4m3 {%f0,%f1,%f2,%f3},%d0,%d1,1,1,1; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;"},
        {"90a", "igmma", "wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8 {%r0,%r1,%r2,%r3},%d0,%d1,1; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;"},
        {"90a", "bgmma", "wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned.m64n8k256.s32.b1.b1.and.popc {%r0,%r1,%r2,%r3},%d0,%d1,1; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;"},
        {"90a", "hgmma sparse", "wgmma.fence.sync.aligned; wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16 {%f0,%f1,%f2,%f3},%d0,%d1,%r0,0,1,1,1,0,0; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;"},
        {"90a", "", "wgmma.fence.sync.aligned;"},
        // ---- tcgen05
        {"100-110af", "tcgen05", "tcgen05.mma.cta_group::1.kind::f16 [%r0],%d0,%d1,%r1,%p0;"},
        {"100-110af", "tcgen05 tcgen05.2cta", "tcgen05.mma.cta_group::2.kind::f16 [%r0],%d0,%d1,%r1,%p0;"},
        {"100-110af", "tcgen05 tcgen05.2cta", "tcgen05.mma.cta_group::2.kind::f8f6f4 [%r0],[%r2],%d1,%r1,%p0;"},
        {"100-110af", "tcgen05", "tcgen05.mma.cta_group::1.kind::mxf4nvf4.block_scale.block16 [%r0],%d0,%d1,%r1,[%r2],[%r3],%p0;"},
        {"100-110af", "tcgen05", "tcgen05.mma.cta_group::1.kind::mxf8f6f4.block_scale.block32 [%r0],%d0,%d1,%r1,[%r2],[%r3],%p0;"},
        {"100a 110a", "tcgen05", "tcgen05.mma.cta_group::1.kind::i8 [%r0],%d0,%d1,%r1,%p0;"},
        {"100-110af", "tcgen05 sparse", "tcgen05.mma.sp.cta_group::1.kind::f16 [%r0],%d0,%d1,[%r4],%r1,%p0;"},
        {"100-110af", "tcgen05", "tcgen05.cp.cta_group::1.128x256b [%r0],%d0;"},
        {"100-110af", "tcgen05 tcgen05.2cta", "tcgen05.cp.cta_group::2.128x128b [%r0],%d0;"},
        {"100-110af", "tcgen05", "tcgen05.ld.sync.aligned.32x32b.x1.b32 {%r0},[%r1]; tcgen05.wait::ld.sync.aligned;"},
        {"100-110af", "tcgen05", "tcgen05.st.sync.aligned.32x32b.x1.b32 [%r1],{%r0}; tcgen05.wait::st.sync.aligned;"},
        {"100-110af", "tcgen05 tcgen05.2cta", "tcgen05.commit.cta_group::2.mbarrier::arrive::one.shared::cluster.b64 [S];"},
        {"100-110af", "tcgen05", "tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;"},
        // ---- copies
        {"75+", "ldmatrix", "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r0,%r1,%r2,%r3},[S];"},
        {"100+af", "ldmatrix", "ldmatrix.sync.aligned.m16n16.x1.trans.shared.b8 {%r0,%r1},[S];"},
        {"80+", "cp.async", "cp.async.cg.shared.global [S],[%d0],16;"},
        {"80+", "cp.async", "cp.async.ca.shared.global [S],[%d0],4;"},
        {"80+", "", "cp.async.commit_group; cp.async.wait_group 0;"},
        {"80+", "mbarrier", "cp.async.mbarrier.arrive.noinc.shared.b64 [S];"},
        {"90+", "tma.load", "cp.async.bulk.tensor.2d.shared::cta.global.tile.mbarrier::complete_tx::bytes [S],[%d0,{%r0,%r1}],[S+64];"},
        {"90+", "tma.load; 120+: tma.load tma.emulated", "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [S],[%d0,{%r0,%r1}],[S+64];"},
        {"90+", "tma.load tma.multicast; 120+: tma.load tma.emulated", "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [S],[%d0,{%r0,%r1}],[S+64],%h0;"},
        {"90+", "tma.load; 120+: tma.load tma.emulated", "cp.async.bulk.tensor.3d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [S],[%d0,{%r0,%r1,%r2}],[S+64],{%h0};"},
        {"100-110af", "tma.load", "cp.async.bulk.tensor.2d.cta_group::2.shared::cluster.global.tile.mbarrier::complete_tx::bytes [S],[%d0,{%r0,%r1}],[S+64];"},
        {"90+", "tma.store", "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%d0,{%r0,%r1}],[S];"},
        {"90+", "tma.reduce", "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%d0,{%r0,%r1}],[S];"},
        {"90+", "", "cp.async.bulk.prefetch.tensor.2d.L2.global.tile [%d0,{%r0,%r1}];"},
        {"90+", "bulk", "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [S],[%d0],1024,[S+64];"},
        {"90+", "bulk; 120+: bulk tma.emulated", "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [S],[%d0],1024,[S+64];"},
        {"90+", "bulk tma.multicast; 120+: bulk tma.emulated", "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [S],[%d0],1024,[S+64],%h0;"},
        {"90+", "bulk", "cp.async.bulk.global.shared::cta.bulk_group [%d0],[S],1024;"},
        {"90+", "bulk", "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%d0],[S],1024;"},
        {"90+", "bulk", "cp.async.bulk.prefetch.L2.global [%d0],1024;"},
        // ---- barriers, clusters, launches
        {"80+", "mbarrier", "mbarrier.init.shared.b64 [S],1;"},
        {"80+", "mbarrier", "mbarrier.arrive.shared.b64 %d0,[S];"},
        {"90+", "mbarrier", "{.reg .pred q; mbarrier.try_wait.shared.b64 q,[S],%d0; selp.u32 %r0,1,0,q;}"},
        {"90+", "cluster", "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;"},
        {"90+", "dsmem", "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%r0],%r1,[%r2];"},
        {"90+", "dsmem", "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.inc.u32 [%r0],%r1,[%r2];"},
        {"100+", "clc", "clusterlaunchcontrol.try_cancel.async.shared::cta.mbarrier::complete_tx::bytes.b128 [S],[S+64];"},
        {"90a 100+af", "setmaxnreg", "setmaxnreg.dec.sync.aligned.u32 64;", ".maxnreg 128"},
        {"90+", "pdl", "griddepcontrol.launch_dependents;"},
        {"90+", "pdl", "griddepcontrol.wait;"},
        // ---- memory
        {"90+", "multimem", "multimem.ld_reduce.relaxed.sys.global.add.u32 %r0,[%d0];"},
        {"90+", "multimem", "multimem.ld_reduce.relaxed.sys.global.add.v4.bf16x2 {%r0,%r1,%r2,%r3},[%d0];"},
        {"75+", "atomics.sys", "atom.relaxed.sys.global.add.u32 %r0,[%d0],%r1;"},
        {"75+", "atomics.sys", "red.release.sys.global.add.u32 [%d0],%r1;"},
        {"75+", "atomics.sys", "atom.global.sys.cas.b32 %r0,[%d0],%r1,%r2;"},
        {"75+", "atomics.sys", "atom.global.sys.exch.b32 %r0,[%d0],%r1;"},
        {"75+", "atomics.sys", "atom.global.sys.add.f32 %f0,[%d0],%f1;"},
        {"75+", "atomics.sys", "red.global.sys.add.f32 [%d0],%f1;"},
        {"75+", "atomics.sys", "atom.sys.add.u32 %r0,[%d0],%r1;"},
        {"75+", "atomics.sys", "atom.sys.cas.b32 %r0,[%d0],%r1,%r2;"},
        {"75+", "atomics.sys", "red.sys.add.f32 [%d0],%f1;"},
        {"75+", "", "atom.relaxed.gpu.global.add.u32 %r0,[%d0],%r1;"},
        {"75+", "", "red.relaxed.gpu.global.add.u32 [%d0],%r1;"},
        {"75+", "", "atom.global.cas.b32 %r0,[%d0],%r1,%r2;"},
        {"75+", "", "atom.add.f32 %f0,[%d0],%f1;"},
        {"90+", "", "red.global.v4.f32.add [%d0],{%f0,%f1,%f2,%f3};"},
        {"100+", "vector256", "ld.global.v8.b32 {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7},[%d0];"},
        {"100+", "vector256", "st.global.v4.b64 [%d0],{%d4,%d5,%d6,%d7};"},
        {"75+", "", "ld.global.v4.b32 {%r0,%r1,%r2,%r3},[%d0];"},
        // ---- arithmetic
        {"100+", "f32x2; 110-121:", "fma.rn.f32x2 %d0,%d1,%d2,%d3;"},
        {"100+", "f32x2; 110-121:", "add.rn.f32x2 %d0,%d1,%d2;"},
        {"100-103af", "redux.f32", "redux.sync.min.f32 %f0,%f1,0xffffffff;"},
        {"80+", "", "redux.sync.add.s32 %r0,%r1,0xffffffff;"},
        {"89+", "fp8.convert", "cvt.rn.satfinite.e4m3x2.f32 %h0,%f0,%f1;"},
        {"89+", "fp8.convert", "cvt.rn.f16x2.e5m2x2 %r0,%h0;"},
        {"100+af", "fp8.convert", "{.reg .b8 e,e2; mov.b16 {e,e2},%h0; cvt.rn.f16x2.e2m1x2 %r0,e;}"},
        {"100+af", "fp8.convert", "cvt.rp.satfinite.ue8m0x2.f32 %h0,%f0,%f1;"},
        {"80+", "", "cvt.rn.bf16x2.f32 %r0,%f0,%f1;"},
        {"80+", "", "cvt.rna.tf32.f32 %r0,%f0;"},
        {"90+", "", "cvt.rn.tf32.f32 %r0,%f0;"},
        {"90+", "", "add.u16x2 %r0,%r1,%r2;"},  // of the opcode that is HMMA.884 on 7.5
        {"75+", "", "movmatrix.sync.aligned.m8n8.trans.b16 %r0,%r1;"},
    };
    // clang-format on
    return all;
}

namespace {

std::vector<std::string> words_of(std::string_view text) {
    std::istringstream stream{std::string(text)};
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    return words;
}

int number_at(std::string_view text, size_t& at) {
    int value = 0;
    const auto read = std::from_chars(text.data() + at, text.data() + text.size(), value);
    at = static_cast<size_t>(read.ptr - text.data());
    return value;
}

bool matches(std::string_view target, std::string_view pattern) {
    if (target == fmt::format("sm_{}", pattern)) return true;
    size_t at = 3;
    const int sm = number_at(target, at);
    const std::string_view suffix = target.substr(at);
    at = 0;
    const int first = number_at(pattern, at);
    int last = first;
    if (at < pattern.size() && pattern[at] == '+') {
        last = 1000;
        ++at;
    } else if (at < pattern.size() && pattern[at] == '-') {
        last = number_at(pattern, ++at);
    } else {
        return false;  // the name of one target
    }
    const bool needs_suffix = pattern.substr(at) == "af";
    return sm >= first && sm <= last && (!needs_suffix || !suffix.empty());
}

// What a register's name begins with: its type, and how it is loaded and stored.
struct RegisterKind {
    char letter;
    std::string_view type, memory_type;
};
constexpr RegisterKind kRegisterKinds[] = {{'r', ".b32", "u32"},
                                           {'f', ".f32", "f32"},
                                           {'d', ".b64", "u64"},
                                           {'g', ".f64", "f64"},
                                           {'h', ".b16", "u16"}};

std::set<int> used(std::string_view ptx, char letter) {
    std::set<int> numbers;
    for (size_t at = ptx.find('%'); at != ptx.npos; at = ptx.find('%', at + 1)) {
        if (at + 2 >= ptx.size()) break;
        size_t digits = at + 2;
        if (ptx[at + 1] == letter && ptx[digits] >= '0' && ptx[digits] <= '9')
            numbers.insert(number_at(ptx, digits));
    }
    return numbers;
}

std::string entry_of(const Form& form, size_t index) {
    std::string declared, before, after;
    int offset = 0;
    for (const RegisterKind& kind : kRegisterKinds) {
        const std::set<int> numbers = used(form.ptx, kind.letter);
        if (numbers.empty()) continue;
        declared += fmt::format("  .reg {} %{}<{}>;\n", kind.type, kind.letter, *numbers.rbegin() + 1);
        for (const int number : numbers) {
            before += fmt::format("  ld.volatile.global.{} %{}{}, [P+{}];\n", kind.memory_type, kind.letter,
                                  number, offset);
            after += fmt::format("  st.volatile.global.{} [P+{}], %{}{};\n", kind.memory_type, offset,
                                 kind.letter, number);
            offset += 8;
        }
    }
    for (const int number : used(form.ptx, 'p'))
        before += fmt::format(
            "  .reg .pred %p{0};\n  .reg .b32 T{0};\n  ld.volatile.global.u32 T{0}, [P+{1}];\n"
            "  setp.ne.u32 %p{0}, T{0}, 0;\n",
            number, offset);
    return fmt::format(
        ".visible .entry k{}(.param .u64 p)\n{}\n{{\n  .shared .align 1024 .b8 space[4096];\n  .reg .b64 P;\n"
        "  .reg .b32 S;\n{}  ld.param.u64 P, [p];\n  mov.u32 S, space;\n{}  {}\n{}  ret;\n}}\n",
        index, form.directives, declared, before, form.ptx, after);
}

}  // namespace

bool is_among(std::string_view target, std::string_view where) {
    const std::vector<std::string> patterns = words_of(where);
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return matches(target, pattern); });
}

std::vector<std::string> classes_as_written(const Form& form) {
    return words_of(form.classes.substr(0, form.classes.find(';')));
}

std::vector<std::string> classes_on(const Form& form, std::string_view target) {
    const size_t other = form.classes.find(';');
    if (other != form.classes.npos) {
        const size_t colon = form.classes.find(':', other);
        if (is_among(target, form.classes.substr(other + 1, colon - other - 1)))
            return words_of(form.classes.substr(colon + 1));
    }
    return classes_as_written(form);
}

std::string module_of_forms(std::string_view target) {
    std::string text = fmt::format(".version 9.0\n.target {}\n.address_size 64\n", target);
    for (size_t i = 0; i < forms().size(); ++i) {
        if (is_among(target, forms()[i].where)) text += entry_of(forms()[i], i);
    }
    return text;
}

}  // namespace warpwright::inspect
