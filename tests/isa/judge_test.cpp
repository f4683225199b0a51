// SPDX-License-Identifier: Apache-2.0
// What is said of a text on a target.
#include "inspect/isa/judge.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "inspect/isa/image_isa.h"

namespace warpwright::inspect {
namespace {

std::string text_of(std::string_view body, std::string_view target = "sm_90a",
                    std::string_view version = "9.0", std::string_view directives = "") {
    return fmt::format(
        ".version {}\n.target {}\n.address_size 64\n.visible .entry kernel()\n{}\n{{\n{}\nret;\n}}\n",
        version, target, directives, body);
}

IsaVerdict judged(const std::string& text, const char* target) {
    const PtxText read = read_text(text);
    return judge_text(read, find_isa_target(target).value());
}

const FormUse* use_of(const PtxText& text, std::string_view spelled) {
    for (const FormUse& use : text.uses) {
        if (use.spelled == spelled) return &use;
    }
    return nullptr;
}

TEST(IsaText, CountsFormsAndTheirFirstLines) {
    const PtxText text = read_text(R"(.version 8.7
.target sm_90, debug
.address_size 64
.func helper() {
  add.s32 %r1, %r2, %r3; add.s32 %r1, %r1, 1;
  ret;
}
.visible .entry first()
.explicitcluster
.reqnctapercluster 2, 1, 1
{
  // wgmma.fence.sync.aligned;
  .reg .b32 %r<9>;
  mov.u32 %r1, %clusterid.x;
  @!%p1 add.s32 %r1, %r2, %r3;
L1: min.f32 %f1, %f2, %f3;
  max.f32 %f1, %f2, %f3, %f4;
  /* a comment; with an instruction: */ st.global.u32 [%rd1], %r1;
  add.u32 %r1, %tid.x, %ntid.x;
  ret;
}
)");
    EXPECT_EQ(text.target, "sm_90");
    EXPECT_EQ(text.version, 87);
    EXPECT_EQ(text.num_instructions, 10u);
    const FormUse* const add = use_of(text, "add.s32");
    ASSERT_NE(add, nullptr);
    EXPECT_EQ(add->count, 3u);
    EXPECT_EQ(add->line, 5);
    EXPECT_EQ(add->function, "helper");
    EXPECT_EQ(add->num_functions, 2u);
    EXPECT_EQ(add->text, "add.s32 %r1, %r2, %r3; add.s32 %r1, %r1, 1;");
    EXPECT_EQ(use_of(text, "wgmma.fence.sync.aligned"), nullptr);
    for (const char* const name : {"%clusterid.x", "%tid.x", "%ntid.x", ".explicitcluster",
                                   ".reqnctapercluster", "st.global.u32", "min.f32"})
        EXPECT_NE(use_of(text, name), nullptr) << name;
    EXPECT_EQ(use_of(text, "min.f32")->form, "min.f32");
    EXPECT_EQ(use_of(text, "max.f32")->form, "max/4.f32");
    EXPECT_EQ(use_of(text, "max.f32")->line, 17);
}

TEST(IsaText, OneFormSpelledInTwoWays) {
    const PtxText text =
        read_text(text_of("atom.global.add.u32 %r1,[%d1],%r2;\natom.add.global.u32 "
                          "%r1,[%d1],%r2;"));
    ASSERT_EQ(text.uses.size(), 2u);  // and ret
    EXPECT_EQ(text.uses[0].count, 2u);
}

// Found by the fuzz target, as is what follows.
TEST(IsaText, AFunctionWithoutAName) {
    const PtxText text = read_text(".version 9.0\n.target sm_90\n.entry (.param .u64 a) { ret; }\n");
    ASSERT_EQ(text.uses.size(), 1u);
    EXPECT_EQ(text.uses[0].num_functions, 1u);
}

// A word of a function's head that is no directive.
TEST(IsaText, OnlyDirectivesOfTheHeadAreForms) {
    const PtxText text = read_text(text_of("", "sm_90", "9.0", "acluster"));
    ASSERT_EQ(text.uses.size(), 1u);
    EXPECT_EQ(text.uses[0].spelled, "ret");
}

TEST(IsaText, LongLinesAreShownFromTheInstructionOn) {
    std::string body;
    for (int i = 0; i < 500; ++i) body += "add.s32 %r1,%r2,%r3; ";
    const PtxText text = read_text(text_of(body + "elect.sync %r1|%p1,0xffffffff;"));
    const FormUse* const elect = use_of(text, "elect.sync");
    ASSERT_NE(elect, nullptr);
    EXPECT_LE(elect->text.size(), 170u);
    EXPECT_TRUE(elect->text.starts_with("elect.sync")) << elect->text;
}

TEST(IsaTargets, AreGpusAndTargetsOfPtxas) {
    EXPECT_EQ(find_isa_target("h100")->architectures.size(), 2u);
    EXPECT_EQ(find_isa_target("rtx-5090")->architectures.size(), 3u);
    EXPECT_EQ(find_isa_target("sm_120f")->architectures.size(), 1u);
    EXPECT_EQ(find_isa_target("compute_90a")->name, "sm_90a");
    EXPECT_EQ(find_isa_target("sm_95").status().message(),
              "--target sm_95: none of the targets of ptxas 13.0; nearest: sm_75");
    EXPECT_FALSE(find_isa_target("h1000").ok());
    EXPECT_NE(find_isa_target("cpu").status().message().find("expected a GPU"), std::string::npos);
}

constexpr const char* kWgmma = "wgmma.fence.sync.aligned;";
constexpr const char* kFp8 =
    "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 "
    "{%f1,%f2,%f3,%f4},{%r1,%r2,%r3,%r4},{%r5,%r6},{%f1,%f2,%f3,%f4};";

TEST(IsaVerdict, TakesTheLeastDemandingArchitecture) {
    const auto architecture = [](const char* body, const char* gpu) {
        const IsaVerdict verdict = judged(text_of(body), gpu);
        return isa::architectures()[static_cast<size_t>(verdict.architecture)].name;
    };
    EXPECT_EQ(architecture("elect.sync %r1|%p1,-1;", "h100"), "sm_90");
    EXPECT_EQ(architecture(kWgmma, "h100"), "sm_90a");
    EXPECT_EQ(architecture("setmaxnreg.dec.sync.aligned.u32 40;", "rtx-5090"), "sm_120f");
    EXPECT_EQ(architecture("cvt.rs.f16x2.f32 %r1,%f1,%f2,%r3;", "b200"), "sm_100a");
}

TEST(IsaVerdict, EmulatedOnHopperNativeOnBlackwell) {
    const PtxText text = read_text(text_of(kFp8));
    const IsaVerdict hopper = judge_text(text, find_isa_target("h100").value());
    EXPECT_TRUE(hopper.is_good());
    ASSERT_EQ(hopper.slow.size(), 1u);
    EXPECT_EQ(hopper.slow[0].way, isa::Way::emulated);
    EXPECT_EQ(hopper.slow[0].use->line, 7);
    EXPECT_EQ(hopper.version, 84);
    const IsaVerdict workstation = judge_text(text, find_isa_target("sm_120").value());
    EXPECT_TRUE(workstation.slow.empty());
    EXPECT_EQ(workstation.num_native, 1u);
    const IsaVerdict ampere = judge_text(text, find_isa_target("a100").value());
    ASSERT_EQ(ampere.illegal.size(), 1u);
    EXPECT_EQ(ampere.illegal[0].use->line, 7);
}

TEST(IsaVerdict, WhatNobodyAssembledIsNotGuessed) {
    const PtxText text = read_text(text_of("frobnicate.b32 %r1;"));
    const IsaVerdict verdict = judge_text(text, find_isa_target("h100").value());
    ASSERT_EQ(verdict.unmeasured.size(), 1u);
    EXPECT_EQ(verdict.unmeasured[0].use->spelled, "frobnicate.b32");
    EXPECT_TRUE(verdict.illegal.empty());
}

TEST(IsaVerdict, AsItStands) {
    const auto why = [](const std::string& text, const char* target) {
        return judged(text, target).why_not_as_it_stands;
    };
    EXPECT_EQ(why(text_of("", "sm_80"), "rtx-5090"), "");
    EXPECT_EQ(why(text_of(""), "rtx-5090"), ".target sm_90a is for that GPU alone");
    EXPECT_EQ(why(text_of("", "sm_100f"), "rtx-5090"), ".target sm_100f is for its family alone");
    EXPECT_EQ(why(text_of("", "sm_120"), "h100"), ".target sm_120 is for later GPUs");
    EXPECT_EQ(why(text_of("", "sm_90a", "7.8"), "h100"), ".target sm_90a needs PTX 8.0, .version is 7.8");
    EXPECT_EQ(why(text_of("elect.sync %r1|%p1,-1;", "sm_80"), "h100"),
              "line 7: its own .target sm_80 has no elect.sync");
    EXPECT_EQ(why(text_of("elect.sync %r1|%p1,-1;", "sm_90", "7.8"), "h100"),
              "line 7: elect.sync needs PTX 8.0, .version is 7.8");
    EXPECT_EQ(why(text_of("", "sm_90a"), "sm_90"), ".target sm_90a is for that GPU alone");
}

TEST(IsaReach, IsTheLowestTargetThatHasAll) {
    const auto lowest = [](const char* body) {
        const IsaReach reach = reach_of(read_text(text_of(body)));
        return reach.lowest < 0 ? "" : isa::architectures()[static_cast<size_t>(reach.lowest)].name;
    };
    EXPECT_EQ(lowest(""), "sm_75");
    EXPECT_EQ(lowest(kFp8), "sm_89");
    EXPECT_EQ(lowest(kWgmma), "sm_90a");
    EXPECT_EQ(lowest("tcgen05.wait::ld.sync.aligned;"), "sm_100f");
    EXPECT_EQ(lowest("wgmma.fence.sync.aligned; tcgen05.wait::ld.sync.aligned;"), "");
    const PtxText clusters = read_text(text_of("", "sm_90", "9.0", ".reqnctapercluster 2, 1, 1"));
    EXPECT_EQ(isa::architectures()[static_cast<size_t>(reach_of(clusters).lowest)].name, "sm_90");
}

TEST(IsaBuild, SaysOptionsAndToolkits) {
    const auto& hopper = isa::architectures()[static_cast<size_t>(isa::index_of("sm_90a"))];
    EXPECT_EQ(nvcc_option(hopper), "-gencode arch=compute_90a,code=sm_90a");
    EXPECT_EQ(nvrtc_option(hopper), "--gpu-architecture=sm_90a");
    EXPECT_EQ(version_needs(84), "PTX 8.4: CUDA 12.4, driver 550");
    EXPECT_NE(version_needs(200).find("later than CUDA"), std::string::npos);
}

TEST(IsaImages, AreSummedByForm) {
    FileReport file;
    const std::vector<IsaTarget> targets = {find_isa_target("rtx-5090").value()};
    for (const char* const body : {kWgmma, "ret;", "wgmma.fence.sync.aligned; frobnicate.b32 %r1;"}) {
        const std::string text = text_of(body, "sm_90a");
        Image image;
        image.kind = ImageKind::ptx;
        image.isa = isa_of_image(read_text(text), targets);
        file.images.push_back(std::move(image));
    }
    file.images.emplace_back();  // machine code
    const std::vector<FileIsa> found = isa_of_file(file);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].num_images, 3u);
    EXPECT_EQ(found[0].num_legal, 1u);
    EXPECT_EQ(found[0].num_loading, 0u);
    EXPECT_EQ(found[0].num_cubins, 1u);
    ASSERT_EQ(found[0].illegal.size(), 1u);
    EXPECT_EQ(found[0].illegal[0].num_images, 2u);
    EXPECT_EQ(found[0].illegal[0].use.remark, "needs sm_90a");
    EXPECT_EQ(found[0].illegal[0].use.function, "kernel");
    EXPECT_EQ(found[0].not_measured.size(), 1u);
}

}  // namespace
}  // namespace warpwright::inspect
