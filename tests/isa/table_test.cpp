// SPDX-License-Identifier: Apache-2.0
// data/isa.json as the library reads it.
#include "isa/table.h"

#include <gtest/gtest.h>

#include <set>

#include "emulator/parse/module.h"

namespace warpwright::isa {
namespace {

Mask mask(std::initializer_list<const char*> names) {
    Mask found = 0;
    for (const char* const name : names) found |= Mask{1} << index_of(name);
    return found;
}

TEST(IsaTable, HasEveryTargetOfPtxas13) {
    ASSERT_EQ(architectures().size(), 23u);
    const Architecture& hopper = architectures()[static_cast<size_t>(index_of("sm_90a"))];
    EXPECT_EQ(hopper.capability, 90);
    EXPECT_EQ(hopper.suffix, 'a');
    EXPECT_EQ(hopper.version, 80);
    EXPECT_EQ(index_of("sm_70"), -1);
}

TEST(IsaTable, NamesDependOnTheOrderOfTypesOnly) {
    EXPECT_EQ(form_name("cvt.rn.satfinite.e4m3x2.f32"), "cvt.rn.satfinite.e4m3x2.f32");
    EXPECT_EQ(form_name("mma.row.sync.col.f32.f16"), form_name("mma.sync.col.row.f32.f16"));
    EXPECT_NE(form_name("cvt.f16.f32"), form_name("cvt.f32.f16"));
    EXPECT_EQ(form_name("min.f32", true), "min/4.f32");
    EXPECT_EQ(form_name("%clusterid.x"), "%clusterid.x");
    EXPECT_EQ(form_name(""), "");
    // Longer than any instruction: as it stands.
    std::string longest = "a";
    for (int i = 0; i < 100; ++i) longest += ".b";
    EXPECT_EQ(form_name(longest), longest);
}

// The emulator's list of types and the table's are one: else a form would have two names.
TEST(IsaTable, KnowsTheTypesOfTheEmulator) {
    for (int i = 1; i <= static_cast<int>(emulator::Type::b1); ++i) {
        const std::string type = emulator::facts_of(static_cast<emulator::Type>(i)).name;
        EXPECT_EQ(form_name("x." + type + ".zz"), "x.zz." + type);
    }
}

TEST(IsaTable, EverySnippetIsWhole) {
    EXPECT_EQ(snippets().size(), 449u);
    std::set<std::string> names;
    for (const Snippet& snippet : snippets()) {
        EXPECT_TRUE(names.insert(snippet.name).second) << snippet.name;
        EXPECT_EQ(snippet.ways.size(), architectures().size()) << snippet.name;
        EXPECT_FALSE(snippet.group.empty()) << snippet.name;
        bool is_legal = false;
        for (size_t i = 0; i < snippet.ways.size(); ++i) {
            is_legal |= snippet.ways[i] != Way::illegal;
            if (!is_slow(snippet.ways[i])) continue;
            // Whoever says slow says how.
            bool is_explained = false;
            for (const OnTargets& how : snippet.how) is_explained |= (how.targets >> i & 1u) != 0;
            EXPECT_TRUE(is_explained) << snippet.name << " on " << architectures()[i].name;
        }
        EXPECT_EQ(is_legal, snippet.version != 0) << snippet.name;
        EXPECT_TRUE(is_legal || !snippet.refusals.empty()) << snippet.name;
    }
}

TEST(IsaTable, FormsAreFoundByTheirNames) {
    EXPECT_GT(forms().size(), 30'000u);
    for (const Form& form : forms()) {
        const bool is_wide = form.spelled.find("/4") != form.spelled.npos;
        ASSERT_EQ(find_form(form.name), &form);
        if (!is_wide) {
            ASSERT_EQ(form_name(form.spelled), form.name);
        }
    }
    EXPECT_EQ(find_form("frobnicate.b32"), nullptr);
}

TEST(IsaTable, SaysHowAFormRuns) {
    const Form* const fp8 = find_form(form_name("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32"));
    ASSERT_NE(fp8, nullptr);
    EXPECT_EQ(fp8->version, 84);
    EXPECT_EQ(fp8->way(index_of("sm_80")), Way::illegal);
    EXPECT_EQ(fp8->way(index_of("sm_89")), Way::native);
    EXPECT_EQ(fp8->way(index_of("sm_90")), Way::emulated);
    EXPECT_EQ(fp8->way(index_of("sm_120")), Way::native);
    EXPECT_EQ(code_text(*fp8, index_of("sm_90")), "emulated: HMMAx2 FADDx4 F2FPx12");
    EXPECT_EQ(code_text(*fp8, index_of("sm_89")), "QMMA");
    EXPECT_EQ(find_form("add.rn.f32x2")->way(index_of("sm_120")), Way::split);
    EXPECT_EQ(find_form("add.rn.f32x2")->way(index_of("sm_100")), Way::native);
    EXPECT_EQ(find_form("add.s32")->way(index_of("sm_75")), Way::unread);
}

// What needs a version of PTX needs one that some target has.
TEST(IsaTable, NoFormIsOlderThanItsTargets) {
    for (const Form& form : forms()) {
        if (form.targets == 0) continue;
        int oldest = 1000;
        for (size_t i = 0; i < architectures().size(); ++i) {
            if ((form.targets >> i & 1u) != 0) oldest = std::min(oldest, architectures()[i].version);
        }
        EXPECT_GE(form.version, oldest) << form.name;
    }
}

// What a plain target has, its variants have, and what a family has, its chip has.
TEST(IsaTable, SuffixesOnlyAdd) {
    for (const Form& form : forms()) {
        for (size_t i = 0; i < architectures().size(); ++i) {
            const Architecture& one = architectures()[i];
            if (one.suffix == 'a' || (form.targets >> i & 1u) == 0) continue;
            const std::string plain = one.suffix == 0 ? one.name : one.name.substr(0, one.name.size() - 1);
            const int chip = index_of(plain + "a");
            if (chip >= 0) {
                EXPECT_NE(form.targets >> chip & 1u, 0u) << form.name << " on " << one.name;
            }
        }
    }
}

TEST(IsaTable, NotesSpeakOfTheFormsTheyMean) {
    const auto says = [](const char* form, const char* word) {
        for (const Note* const note : notes_of(form_name(form)))
            if (note->text.text.find(word) != std::string::npos) return true;
        return false;
    };
    EXPECT_TRUE(says("setmaxnreg.dec.sync.aligned.u32", "maxnreg"));
    EXPECT_TRUE(says("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", "wgmma"));
    EXPECT_FALSE(says("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "FP8"));
    // A note that speaks of no form is one that nobody reads.
    std::set<const Note*> read;
    for (const Form& form : forms())
        for (const Note* const note : notes_of(form.name)) read.insert(note);
    EXPECT_EQ(read.size(), num_notes());
}

TEST(IsaTable, TextsOfTargets) {
    EXPECT_EQ(targets_text(mask({"sm_90a"})), "sm_90a");
    EXPECT_EQ(targets_text(0), "no target");
    EXPECT_EQ(least_text(mask({"sm_90a", "sm_100a", "sm_100f"})), "sm_90a, sm_100f");
    EXPECT_EQ(least_text(find_form("griddepcontrol.wait")->targets), "sm_90 or later");
    EXPECT_EQ(version_text(parse_version("8.6")), "8.6");
}

TEST(IsaTable, PtxOfATargetIsAssembledFor) {
    const auto takes = [](const char* text, const char* wanted) {
        return assembles_for(architectures()[static_cast<size_t>(index_of(text))],
                             architectures()[static_cast<size_t>(index_of(wanted))]);
    };
    EXPECT_TRUE(takes("sm_80", "sm_120"));
    EXPECT_TRUE(takes("sm_90", "sm_90a"));
    EXPECT_FALSE(takes("sm_90a", "sm_90"));
    EXPECT_TRUE(takes("sm_100f", "sm_103"));
    EXPECT_FALSE(takes("sm_103f", "sm_100"));
    EXPECT_FALSE(takes("sm_100f", "sm_110"));
    EXPECT_FALSE(takes("sm_120a", "sm_121a"));
    EXPECT_FALSE(takes("sm_89", "sm_80"));
}

}  // namespace
}  // namespace warpwright::isa
