// SPDX-License-Identifier: Apache-2.0
// data/libraries: what is read, and that a slip of the pen is seen.
#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

#include "inspect/diagnose/catalogue.h"
#include "inspect/knowledge/fingerprints.h"
#include "inspect/libraries/library.h"

namespace warpwright::libraries {
namespace {

const std::string kFact =
    "text = 'it is so'\nversion = '1.0'\ndate = 2026-11-26\nsource = 'https://example.org/1'\n";

std::string sections(const std::string& states = "[80, 89, 90, 100, 103, 120, 121]") {
    std::string text;
    for (const char* name : {"what", "depends", "sm100", "sm120", "detection", "reference"})
        text += "[[" + std::string(name) + "]]\n" + kFact;
    return text + "[[state]]\nstate = 'portable'\nof = " + states + "\n" + kFact +
           "[[need]]\ntext = 'speed'\n";
}

std::string head() {
    return "id = 'x'\nname = 'X'\norder = 1\nrepository = 'https://example.org'\nversion = '1.0'\ngoal = "
           "'more'\n";
}

std::string flaw(const std::string& text) {
    try {
        read_library(text, "x.toml");
    } catch (const std::logic_error& error) {
        return error.what();
    }
    return "";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
}

TEST(LibraryFile, IsReadWhole) {
    const Library library = read_library(head() + sections(), "x.toml");
    EXPECT_EQ(library.what.at(0).source, "https://example.org/1");
    EXPECT_EQ(library.what.at(0).date, "2026-11-26");
    EXPECT_EQ(library.states.at(6).capability, 121);
    EXPECT_EQ(library.states.at(6).state, State::portable);
    EXPECT_EQ(library.needs.at(0).text, "speed");
}

TEST(LibraryFile, FlawsAreNamed) {
    const std::string good = head() + sections();
    ASSERT_EQ(flaw(good), "");
    EXPECT_NE(flaw(replaced(good, "[[sm120]]\n" + kFact, "")).find("[[sm120]] is missing"),
              std::string::npos);
    EXPECT_NE(flaw(replaced(good, "https://example.org/1", "a friend")).find("no https:// address"),
              std::string::npos);
    EXPECT_NE(flaw(replaced(good, "date = 2026-11-26", "date = 'today'")).find("'date' is no date"),
              std::string::npos);
    EXPECT_NE(flaw(replaced(good, "version = '1.0'\ndate", "date")).find("'version' is missing"),
              std::string::npos);
    EXPECT_NE(flaw(replaced(good, "'portable'", "'good'")).find("cannot be 'good'"), std::string::npos);
    EXPECT_NE(flaw(head() + sections("[80]")).find("no [[state]] of 89"), std::string::npos);
    EXPECT_NE(flaw(head() + sections("[80, 89, 90, 100, 103, 120, 121, 80]")).find("80 is there twice"),
              std::string::npos);
    EXPECT_NE(flaw(head() + sections("[75]")).find("75 is no column"), std::string::npos);
    EXPECT_NE(flaw(good + "problem = { a = '1' }\n").find("'problem' is of a 'work'"), std::string::npos);
    EXPECT_NE(flaw("aliasses = ['y']\n" + good).find("unknown key 'aliasses'"), std::string::npos);
    EXPECT_NE(flaw(replaced(good, kFact, kFact + "claim = 'no'\n")).find("stand together"),
              std::string::npos);
}

TEST(Libraries, TheFilesAreWhole) {
    EXPECT_EQ(libraries().size(), 16u);
    std::set<int> places;
    for (const Library& library : libraries()) EXPECT_TRUE(places.insert(library.order).second) << library.id;
    for (const Library& library : libraries()) {
        for (const std::string& id : library.failures)
            EXPECT_NE(diagnose::catalogue().find(id), nullptr) << library.id << ": " << id;
        for (const std::string& id : library.fingerprints)
            EXPECT_NE(inspect::fingerprints().find(id), nullptr) << library.id << ": " << id;
        for (const ClassState& state : library.states)
            EXPECT_EQ(class_name(state.capability).substr(0, 2), "SM") << library.id;
    }
}

TEST(Libraries, AreFoundByAnyOfTheirNames) {
    for (const char* name : {"flash-attention-3", "FlashAttention 3", "fa3", "FA3", "flash_attn_3"}) {
        const auto found = find_library(name);
        ASSERT_TRUE(found.ok()) << name << ": " << found.status().message();
        EXPECT_EQ(found.value()->id, "flash-attention-3");
    }
    const auto missing = find_library("flash-attn-33");
    ASSERT_FALSE(missing.ok());
    EXPECT_NE(missing.status().message().find("nearest: flash-attn-3"), std::string::npos)
        << missing.status().message();
}

TEST(Libraries, OfAFingerprintAndOfAFailure) {
    ASSERT_EQ(libraries_with("flash-attention-2").size(), 1u);
    EXPECT_EQ(libraries_with("flash-attention-2")[0]->id, "flash-attention-2");
    EXPECT_EQ(libraries_with("deep-ep").size(), 2u);
    EXPECT_EQ(libraries_with("fa3-not-hopper").at(0)->id, "flash-attention-3");
    EXPECT_TRUE(libraries_with("no such thing").empty());
}

TEST(Libraries, WhereMoreIsSaid) {
    EXPECT_EQ(more_about({"nccl", "fa3-not-hopper", "nccl"}), "warpwright libraries flash-attention-3, nccl");
    EXPECT_EQ(more_about({"no such thing"}), "");
}

TEST(Classes, OfEveryGpu) {
    for (const Target& target : targets()) {
        const auto found = class_of(target);
        const int capability = target.facts.compute_capability;
        if (capability == 0 || capability == 110) {
            EXPECT_FALSE(found.ok()) << target.id;
            continue;
        }
        ASSERT_TRUE(found.ok()) << target.id;
        EXPECT_EQ(found.value(), capability == 86 ? 80 : capability) << target.id;
    }
}

}  // namespace
}  // namespace warpwright::libraries
