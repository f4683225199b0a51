// SPDX-License-Identifier: Apache-2.0
// What is ours is computed: of the registry, and of the record of where rows were tried.
#include <gtest/gtest.h>

#include "inspect/libraries/ours.h"

namespace warpwright::libraries {
namespace {

Library library_of(std::vector<Need> needs) {
    Library library;
    library.id = "x";
    library.needs = std::move(needs);
    return library;
}

std::string report(const char* date, const char* row, int passed, int failed) {
    return std::string(R"({"target": "h100-sxm", "gpu": "H100 SXM", "date": ")") + date +
           R"(", "facts": {"compute_capability": 90}, "by_row": [{"op": "gemm", "row": ")" + row +
           R"(", "passed": )" + std::to_string(passed) + R"(, "failed": )" + std::to_string(failed) + "}]}";
}

constexpr const char* kEmulated = "[[device]]\ntarget = 'b200'\nbuild_target = 'sm_100f'\n";

TEST(Record, TheNewestOfATargetCounts) {
    const auto record = read_record({{"b.json", report("2026-11-25", "old", 3, 0)},
                                     {"a.json", report("2026-11-26", "new", 3, 0)},
                                     {"c.json", report("2026-11-24", "older", 3, 0)}},
                                    kEmulated);
    ASSERT_EQ(record.gpus.size(), 1u);
    EXPECT_EQ(record.gpus[0].date, "2026-11-26");
    EXPECT_EQ(record.evidence("new", 90), Evidence::measured);
    EXPECT_EQ(record.evidence("old", 90), Evidence::none);
}

TEST(Record, WhatFailedOrNeverRanWasNotMeasured) {
    EXPECT_EQ(read_record({{"a", report("2026-11-26", "x", 5, 1)}}, kEmulated).evidence("x", 90),
              Evidence::none);
    EXPECT_EQ(read_record({{"a", report("2026-11-26", "x", 0, 0)}}, kEmulated).evidence("x", 90),
              Evidence::none);
}

TEST(Record, EmulatedIsByBuildTarget) {
    const auto record = read_record({{"a.json", report("2026-11-26", "x", 3, 0)}}, kEmulated);
    EXPECT_EQ(record.evidence("x", 100), Evidence::emulated);
    EXPECT_EQ(record.evidence("x", 103), Evidence::emulated);  // the same images as 10.0
    EXPECT_EQ(record.evidence("x", 120), Evidence::none);
    EXPECT_EQ(record.evidence("x", 80), Evidence::none);  // measured on another architecture
}

TEST(Record, OfTheProject) {
    EXPECT_EQ(test_record().emulated.size(), 5u);
    ASSERT_NE(test_record().gpu(90), nullptr);
    EXPECT_GT(test_record().gpu(90)->passed.size(), 100u);
}

TEST(Ours, ServedNeedsAreCounted) {
    const Library library = library_of(
        {{"attention", "attention"}, {"gemm", "gemm"}, {"magic", ""}, {"more of it", "no-such-work"}});
    const OurState state = our_state(library, 90);
    ASSERT_EQ(state.needs.size(), 4u);
    EXPECT_EQ(state.num_served, 2);
    EXPECT_TRUE(state.needs[0].serves && state.needs[1].serves);
    EXPECT_FALSE(state.needs[0].rows.empty());
    EXPECT_FALSE(state.needs[2].exists || state.needs[3].exists);
    EXPECT_EQ(state.evidence, Evidence::measured);
    EXPECT_EQ(state.short_text(), "2/4 meas.");
    EXPECT_NE(state.measured_on.find("H100"), std::string::npos);
}

TEST(Ours, EmulatedIsCalledEmulated) {
    const Library library = library_of({{"gemm", "gemm"}});
    for (const int capability : {80, 89, 100, 103, 120, 121}) {
        const OurState state = our_state(library, capability);
        EXPECT_EQ(state.evidence, Evidence::emulated) << capability;
        EXPECT_EQ(state.short_text(), "1/1 emul.") << capability;
        EXPECT_TRUE(state.measured_on.empty()) << capability;
    }
    EXPECT_NE(our_state(library, 121).text().find("emulated (as rtx-pro-6000)"), std::string::npos);
}

TEST(Ours, ANeedAsksForItsOwnProblem) {
    const OurState window = our_state(library_of({{"window", "attention", {{"window_left", "1024"}}}}), 120);
    EXPECT_EQ(window.num_served, 1) << window.needs[0].text;
    const OurState wide = our_state(library_of({{"wide heads", "attention", {{"head_dim", "4096"}}}}), 120);
    EXPECT_EQ(wide.num_served, 0);
    EXPECT_TRUE(wide.needs[0].exists);
    EXPECT_NE(wide.needs[0].text.find("no row of attention serves it"), std::string::npos)
        << wide.needs[0].text;
    const OurState typo = our_state(library_of({{"typo", "attention", {{"windowleft", "1"}}}}), 120);
    EXPECT_NE(typo.needs[0].text.find("windowleft"), std::string::npos) << typo.needs[0].text;
}

// A need that names a problem has to be one that the operation understands.
TEST(Ours, EveryNeedOfEveryLibraryIsUnderstood) {
    for (const Library& library : libraries()) {
        for (const OurNeed& need : our_state(library, 90).needs)
            EXPECT_TRUE(!need.exists || need.serves)
                << library.id << ": " << need.need->text << ": " << need.text;
    }
}

TEST(Ours, NothingIsNotYet) {
    const OurState state = our_state(library_of({{"magic", ""}}), 120);
    EXPECT_EQ(state.short_text(), "not yet");
    EXPECT_EQ(state.text(), "nothing yet");
    EXPECT_EQ(state.evidence, Evidence::none);
}

TEST(Ours, OfOneGpu) {
    const Target target = find_target("rtx-5090").value();
    const OurState state = our_state(library_of({{"gemm", "gemm"}}), target);
    ASSERT_EQ(state.needs.at(0).rows.size(), 1u);
    EXPECT_EQ(state.evidence, Evidence::emulated);
}

}  // namespace
}  // namespace warpwright::libraries
