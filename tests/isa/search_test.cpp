// SPDX-License-Identifier: Apache-2.0
// Forms by what a person types.
#include "inspect/isa/search.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace warpwright::inspect {
namespace {

TEST(IsaSearch, PartsInAnyOrder) {
    const auto found = search_forms("mma.sync.m16n8k32.e4m3");
    ASSERT_TRUE(found.ok());
    EXPECT_GT(found->size(), 10u);
    for (const isa::Form* const form : *found) {
        EXPECT_TRUE(form->spelled.starts_with("mma.")) << form->spelled;
        EXPECT_NE(form->spelled.find("m16n8k32"), std::string::npos) << form->spelled;
        EXPECT_NE(form->spelled.find("e4m3"), std::string::npos) << form->spelled;
    }
    // Measured ones first.
    EXPECT_GE(found->front()->snippet, 0);
    EXPECT_EQ(search_forms("cvt e2m1")->size(), search_forms("cvt.e2m1")->size());
}

TEST(IsaSearch, AFormWrittenOutIsFoundAlone) {
    const auto found = search_forms("atom.add.global.u32");
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(found->size(), 1u);
    EXPECT_EQ(found->front()->name, "atom.add.global.u32");
}

TEST(IsaSearch, TheLastPartMayBeABeginning) {
    const auto all = search_forms("tcgen05.mma.kind::f8");
    ASSERT_TRUE(all.ok());
    EXPECT_NE(all->front()->spelled.find("kind::f8f6f4"), std::string::npos);
    // "mma" is an opcode: forms of tcgen05 and wmma that have it as a part are not meant.
    const auto products = search_forms("mma");
    ASSERT_TRUE(products.ok());
    for (const isa::Form* const form : *products)
        EXPECT_TRUE(form->spelled.starts_with("mma.")) << form->spelled;
}

TEST(IsaSearch, APartTwiceIsAskedForTwice) {
    const auto twice = search_forms("mma.m16n8k32.e5m2.e5m2");
    ASSERT_TRUE(twice.ok());
    EXPECT_TRUE(std::ranges::all_of(
        *twice, [](const isa::Form* form) { return form->spelled.find("e5m2.e5m2") != std::string::npos; }));
    EXPECT_LT(twice->size(), search_forms("mma.m16n8k32.e5m2")->size());
}

TEST(IsaSearch, TheNameOfASnippet) {
    const auto found = search_forms("wgmma.m64n8k16.f16.f32.SS");
    ASSERT_TRUE(found.ok());
    EXPECT_TRUE(std::ranges::any_of(*found, [](const isa::Form* form) {
        return form->spelled == "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16";
    }));
}

TEST(IsaSearch, ATypoGetsTheNearest) {
    const auto message = [](const char* wanted) { return search_forms(wanted).status().message(); };
    EXPECT_EQ(message("mma.snyc.m16n8k32"),
              "mma.snyc.m16n8k32: no instruction that was measured; nearest: mma.sync.m16n8k32");
    EXPECT_EQ(message("tcgen50.mma"), "tcgen50.mma: no instruction that was measured; nearest: tcgen05.mma");
    EXPECT_EQ(message("..."), "expected an instruction, such as mma.sync or cvt.e4m3x2");
    EXPECT_EQ(search_forms("mma.snyc").status().kind(), ErrorKind::caller);
}

TEST(IsaCells, SayTheLeastThatHasIt) {
    const auto cells = [](const char* form) {
        std::string row;
        for (const ClassWay& way : ways_by_class(*isa::find_form(isa::form_name(form))))
            row += way_cell(way) + " ";
        return row;
    };
    EXPECT_EQ(cells("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32"), ". . . . . n e e e e n n ");
    EXPECT_EQ(cells("wgmma.fence.sync.aligned"), ". . . . . . na . . . . . ");
    EXPECT_EQ(cells("mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e4m3.e4m3.f32"),
              ". . . . . . . ef ef ef nf nf ");
}

TEST(IsaGroups, FormsThatRunAlikeAreOneRow) {
    const std::vector<const isa::Form*> forms = search_forms("ld.global").value();
    const std::vector<FormGroup> groups = group_forms(forms);
    size_t num_forms = 0;
    for (const FormGroup& group : groups) num_forms += group.forms.size();
    EXPECT_EQ(num_forms, forms.size());
    EXPECT_LT(groups.size(), 40u);
}

TEST(IsaFamilies, EachSaysWhatItIs) {
    const std::vector<Family> all = families();
    EXPECT_GT(all.size(), 100u);
    for (const Family& family : all) {
        EXPECT_FALSE(family.text.empty()) << family.opcode;
        EXPECT_GT(family.num_forms, 0) << family.opcode;
    }
}

}  // namespace
}  // namespace warpwright::inspect
