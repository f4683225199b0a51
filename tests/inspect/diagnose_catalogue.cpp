// SPDX-License-Identifier: Apache-2.0
// data/failures.toml: every entry finds its own lines, no other's, and nothing in it is a slip of the pen.
#define TOML_HEADER_ONLY 1
#include <gtest/gtest.h>
#include <re2/filtered_re2.h>
#include <re2/re2.h>

#include <toml++/toml.h>
#include <fstream>
#include <map>
#include <set>

#include "inspect/diagnose_lines.h"
#include "warpwright/target.h"

namespace warpwright::diagnose {
namespace {

struct Lines {
    std::vector<std::string> positive, negative, also;
};

std::vector<std::string> texts(const toml::table& table, const char* key) {
    std::vector<std::string> list;
    if (const toml::array* array = table[key].as_array())
        for (const toml::node& node : *array) list.push_back(node.value<std::string>().value());
    return list;
}

const std::map<std::string, Lines>& lines() {
    static const auto all = [] {
        std::map<std::string, Lines> all;
        const toml::table root = toml::parse_file(WW_SOURCE_DIR "/data/failure_lines.toml");
        for (const toml::node& node : *root["failure"].as_array()) {
            const toml::table& table = *node.as_table();
            all[table["id"].value<std::string>().value()] = {texts(table, "positive"),
                                                             texts(table, "negative"), texts(table, "also")};
        }
        return all;
    }();
    return all;
}

// Some are failures on certain GPUs only.
int capability_for(const Failure& failure) {
    return failure.needs_gpu ? (failure.architectures.empty() ? 80 : failure.architectures.back()) : 0;
}

bool finds(const Report& report, std::string_view id) {
    return std::ranges::any_of(report.findings,
                               [&](const Finding& finding) { return finding.failure->id == id; });
}

// Whether one of the patterns matches a line, whatever is around it.
bool matches_a_line(const std::vector<std::string>& patterns, std::string_view text) {
    for (size_t begin = 0; begin < text.size();) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        const re2::StringPiece line(text.data() + begin, end - begin);
        for (const std::string& pattern : patterns)
            if (re2::RE2::PartialMatch(line, re2::RE2(pattern, re2::RE2::Latin1))) return true;
        begin = end + 1;
    }
    return false;
}

TEST(FailureCatalogue, IsLarge) {
    EXPECT_GE(catalogue().failures.size(), 96u);
}

TEST(FailureCatalogue, EveryEntryHasLinesAndEveryLineAnEntry) {
    for (const Failure& failure : catalogue().failures) {
        ASSERT_TRUE(lines().contains(failure.id)) << failure.id;
        EXPECT_FALSE(lines().at(failure.id).positive.empty()) << failure.id;
        EXPECT_FALSE(lines().at(failure.id).negative.empty()) << failure.id;
    }
    for (const auto& [id, entry] : lines()) EXPECT_NE(catalogue().find(id), nullptr) << id;
}

TEST(FailureCatalogue, PositiveLinesGiveTheEntryAndNothingElse) {
    for (const Failure& failure : catalogue().failures) {
        for (const std::string& text : lines().at(failure.id).positive) {
            const Report report = diagnose(text, capability_for(failure));
            ASSERT_TRUE(finds(report, failure.id)) << failure.id << ": " << text;
            EXPECT_EQ(report.findings.size(), 1u) << failure.id << ": " << text;
        }
    }
}

TEST(FailureCatalogue, EveryPatternMatchesAPositiveLine) {
    for (const Failure& failure : catalogue().failures) {
        std::string all;
        for (const std::string& text : lines().at(failure.id).positive) all += text + "\n";
        for (const std::string& pattern : failure.patterns)
            EXPECT_TRUE(matches_a_line({pattern}, all)) << failure.id << ": " << pattern;
    }
}

TEST(FailureCatalogue, NegativeLinesDoNotGiveTheEntry) {
    for (const Failure& failure : catalogue().failures) {
        for (const std::string& text : lines().at(failure.id).negative)
            EXPECT_FALSE(finds(diagnose(text, capability_for(failure)), failure.id))
                << failure.id << ": " << text;
    }
}

// Two entries for one line are a decision, and their order decides: it is written down, and holds.
TEST(FailureCatalogue, OverlapsAreDeclared) {
    for (const Failure& failure : catalogue().failures) {
        const Lines& own = lines().at(failure.id);
        std::string all;
        for (const std::string& text : own.positive) all += text + "\n";
        std::set<std::string> found;
        for (const Failure& other : catalogue().failures)
            if (&other != &failure && matches_a_line(other.patterns, all)) found.insert(other.id);
        EXPECT_EQ(found, std::set<std::string>(own.also.begin(), own.also.end())) << failure.id;
    }
}

TEST(FailureCatalogue, ScannedLiteralsAreThoseThatRe2Demands) {
    std::vector<std::string> patterns;
    for (const Failure& failure : catalogue().failures)
        patterns.insert(patterns.end(), failure.patterns.begin(), failure.patterns.end());
    for (const Sign& sign : catalogue().signs) patterns.push_back(sign.pattern);
    for (const std::string& pattern : patterns) {
        re2::FilteredRE2 filter(LiteralScanner::kMinLiteral);
        int id = 0;
        ASSERT_EQ(filter.Add(pattern, re2::RE2::Latin1, &id), re2::RE2::NoError) << pattern;
        std::vector<std::string> atoms;  // in lower case
        filter.Compile(&atoms);
        for (std::string literal : required_literals(pattern)) {
            std::ranges::transform(literal, literal.begin(), [](unsigned char c) { return std::tolower(c); });
            EXPECT_TRUE(std::ranges::any_of(
                atoms, [&](const std::string& atom) { return atom.find(literal) != std::string::npos; }))
                << pattern << ": '" << literal << "'";
        }
    }
}

TEST(FailureCatalogue, ReferencesAndDatesAreWellFormed) {
    const re2::RE2 date("20\\d\\d-[01]\\d-[0-3]\\d");
    for (const Failure& failure : catalogue().failures) {
        EXPECT_TRUE(re2::RE2::FullMatch(failure.date, date)) << failure.id;
        for (const std::string& reference : failure.references)
            EXPECT_TRUE(reference.starts_with("https://")) << failure.id << ": " << reference;
    }
}

TEST(FailureCatalogue, ArchitecturesAreThoseOfTargets) {
    std::set<int> known;
    for (const Target& target : targets()) known.insert(target.facts.compute_capability);
    for (const Failure& failure : catalogue().failures)
        for (const int capability : failure.architectures)
            EXPECT_TRUE(known.contains(capability) || capability == 110) << failure.id << ": " << capability;
}

TEST(FailureCatalogue, PlaceholdersAreGroupsOfEveryPatternThatUsesThem) {
    const re2::RE2 placeholder("\\{(\\w+)\\}");
    for (const Failure& failure : catalogue().failures) {
        const std::string text = failure.cause + failure.fix;
        re2::StringPiece rest(text);
        std::string name;
        while (re2::RE2::FindAndConsume(&rest, placeholder, &name)) {
            for (const std::string& pattern : failure.patterns)
                EXPECT_TRUE(re2::RE2(pattern).NamedCapturingGroups().contains(name))
                    << failure.id << ": {" << name << "} in " << pattern;
        }
    }
}

TEST(FailureCatalogue, OfAndOriginsNameTheSameLibraries) {
    std::set<std::string> named;
    for (const Origin& origin : catalogue().origins) named.insert(origin.library);
    for (const Failure& failure : catalogue().failures) {
        if (failure.of.empty()) continue;
        EXPECT_TRUE(named.contains(failure.of)) << failure.id;
    }
}

// What a flaw in the file is called.
TEST(FailureCatalogue, FlawsAreNamed) {
    const std::string good =
        "[[failure]]\nid = 'a'\npatterns = ['something broke']\ncause = 'c'\nfix = 'f'\n"
        "references = ['https://example.org']\ndate = '2026-11-26'\nconfidence = 'reported'\n";
    const std::string rest =
        "[[origin]]\nlibrary = 'x'\nsigns = ['libxyz']\n[[sign]]\npatterns = ['Error: ']\nnext = 'n'\n";
    EXPECT_NO_THROW(read_catalogue(good + rest));
    const auto flaw = [&](std::string from, std::string to) -> std::string {
        std::string text = good;
        text.replace(text.find(from), from.size(), to);
        try {
            const Catalogue list = read_catalogue(text + rest);
            const Matcher matcher(list, 0);
        } catch (const std::logic_error& error) {
            return error.what();
        }
        return "none";
    };
    EXPECT_NE(flaw("fix =", "fixx =").find("'fix' is missing"), std::string::npos);
    EXPECT_NE(flaw("cause =", "versoins = '1'\ncause =").find("unknown key 'versoins'"), std::string::npos);
    EXPECT_NE(flaw("'reported'", "'sure'").find("cannot be 'sure'"), std::string::npos);
    EXPECT_NE(flaw("something broke", "(broke").find("missing )"), std::string::npos);
    EXPECT_NE(flaw("something broke", "some(thing broke)?").find("expected a literal"), std::string::npos);
    EXPECT_NE(flaw("id = 'a'", "id = 'a'\nid = 'b'").find("line 3"), std::string::npos);
    try {
        read_catalogue(good + good + rest);
        ADD_FAILURE() << "the same id twice";
    } catch (const std::logic_error& error) {
        EXPECT_NE(std::string_view(error.what()).find("is there twice"), std::string_view::npos);
    }
}

}  // namespace
}  // namespace warpwright::diagnose
